"""Active health checks: the agent asks endpoints how they are, so that workers learn of it before a request does.

A new endpoint counts as healthy until it was asked, as HAProxy has it: nobody loses an endpoint because the agent is young. The first answer decides
by itself; after that `rise` and `fall` in a row do.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, NamedTuple

from pillion.errors import PillionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from pillion.ambassador.snapshot import EndpointSpec
    from pillion.base.tasks import RootTasks
    from pillion.settings.upstreams import ActiveCheck, Upstream

MOST_CHECKED = 2000
"""Endpoints that are asked; those beyond it count as healthy."""
MOST_AT_ONCE = 64
_FIRST_WITHIN_S = 0.2
_BUSY_S = 0.05


class Standing(NamedTuple):
    """What is known of an endpoint. `streak` are results in a row that speak against `healthy`."""

    healthy: bool = True
    decided: bool = False
    streak: int = 0
    why: str = ""


def step(standing: Standing, complaint: str, rise: int, fall: int) -> Standing:
    """The standing after an attempt; `complaint` is what was wrong, empty when nothing was."""
    good = not complaint
    if good == standing.healthy:
        return Standing(good, decided=True, why=complaint)
    streak = standing.streak + 1
    if not standing.decided or streak >= (rise if good else fall):
        return Standing(good, decided=True, why=complaint)
    return Standing(standing.healthy, decided=True, streak=streak, why=complaint or standing.why)


class ActiveChecks:
    """Make it inside the running loop. `attempt` returns what is wrong with an endpoint, empty when nothing is, and never raises.

    `changed` is called from the loop with upstream, endpoint and its new standing when that turned. Without checks
    there is no timer. `attempts` and `failures` are counted, `overflow` is how many endpoints are not asked for want of room.
    """

    def __init__(
        self,
        attempt: Callable[[Upstream, EndpointSpec, ActiveCheck], Awaitable[str]],
        tasks: RootTasks,
        changed: Callable[[str, EndpointSpec, Standing], None],
    ) -> None:
        self._attempt = attempt
        self._tasks = tasks
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._checked: dict[tuple[str, str], _Checked] = {}
        self._running = 0
        self._found_unhealthy: set[tuple[str, str]] = set()
        self.attempts = 0
        self.failures = 0
        self.overflow = 0

    def begin_with(self, unhealthy: set[tuple[str, str]]) -> None:
        """What an agent before us had found unhealthy (upstream, key) stays so until it has been asked."""
        self._found_unhealthy = unhealthy

    def configure(
        self, upstreams: Mapping[str, Upstream], endpoints: Mapping[str, Iterable[EndpointSpec]]
    ) -> None:
        """Ask these from now on, and no others. Those that stay keep their standing."""
        wanted: dict[tuple[str, str], _Checked] = {}
        self.overflow = 0
        for name, upstream in upstreams.items():
            check = upstream.check
            if check is None:
                continue
            for spec in endpoints.get(name, ()):
                key = (name, spec.key)
                known = self._checked.get(key)
                if known is not None and known.asks(spec, upstream):
                    wanted[key] = known
                elif len(wanted) < MOST_CHECKED:
                    standing = self._begun(key) if known is None else known.standing
                    wanted[key] = _Checked(name, spec, upstream, check, standing)
                else:
                    self.overflow += 1
        for key, known in self._checked.items():
            if wanted.get(key) is not known:
                known.cancel()
        fresh = [one for key, one in wanted.items() if self._checked.get(key) is not one]
        self._checked = wanted
        for one in fresh:
            self._later(one, random.uniform(0, min(_FIRST_WITHIN_S, one.check.interval_s)))

    def _begun(self, key: tuple[str, str]) -> Standing:
        if key not in self._found_unhealthy:
            return Standing()
        self._found_unhealthy.discard(key)
        return Standing(healthy=False)

    def standing(self, upstream: str, key: str) -> Standing:
        """How an endpoint stands; healthy when it is not checked."""
        known = self._checked.get((upstream, key))
        return Standing() if known is None else known.standing

    def __len__(self) -> int:
        """How many endpoints are asked."""
        return len(self._checked)

    def close(self) -> None:
        """Ask nobody any more."""
        for known in self._checked.values():
            known.cancel()
        self._checked.clear()

    def _later(self, one: _Checked, in_s: float) -> None:
        one.cancel()
        one.timer = self._loop.call_later(in_s, self._begin, one)

    def _begin(self, one: _Checked) -> None:
        one.timer = None
        if self._running >= MOST_AT_ONCE:
            self._later(one, _BUSY_S)
            return
        try:
            task = self._tasks.start(
                f"check {one.name} {one.spec.key}",
                self._one(one),
                may_end=True,
            )
        except PillionError:
            return  # this process ends
        self._running += 1
        task.add_done_callback(lambda _: self._ended(one))

    async def _one(self, one: _Checked) -> None:
        complaint = await self._attempt(one.upstream, one.spec, one.check)
        self.attempts += 1
        self.failures += bool(complaint)
        if self._checked.get((one.name, one.spec.key)) is not one:
            return
        before = one.standing
        one.standing = step(before, complaint, one.check.rise, one.check.fall)
        if one.standing.healthy != before.healthy:
            self._changed(one.name, one.spec, one.standing)

    def _ended(self, one: _Checked) -> None:
        self._running -= 1
        if self._checked.get((one.name, one.spec.key)) is one:
            # Varied, so that the sidecars of a fleet do not ask in step.
            self._later(one, one.check.interval_s * random.uniform(0.9, 1.1))


class _Checked:
    """One endpoint that is asked."""

    __slots__ = ("check", "name", "spec", "standing", "timer", "upstream")

    def __init__(
        self,
        name: str,
        spec: EndpointSpec,
        upstream: Upstream,
        check: ActiveCheck,
        standing: Standing,
    ) -> None:
        self.name = name
        self.spec = spec
        self.upstream = upstream
        self.check = check
        self.standing = standing
        self.timer: asyncio.TimerHandle | None = None

    def asks(self, spec: EndpointSpec, upstream: Upstream) -> bool:
        """Whether it asks just so already; weight, zone and the like make no difference."""
        mine = self.upstream
        return (spec.tls, spec.host) == (self.spec.tls, self.spec.host) and (
            upstream.check,
            upstream.tls,
            upstream.host,
            upstream.service,
            upstream.proxy_protocol,
        ) == (mine.check, mine.tls, mine.host, mine.service, mine.proxy_protocol)

    def cancel(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
