"""What the journal is told of the ambassador's policy and circuits: each thing once, in words for people."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pillion.ambassador.transitions import ALL_BURST, ALL_PER_S, Allowance, BreakerJournal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pillion.ambassador.active import Standing
    from pillion.ambassador.publisher import Worker
    from pillion.ambassador.snapshot import EndpointSpec
    from pillion.ambassador.transitions import Entry
    from pillion.ambassador.wire import Refused, Report, Transition
    from pillion.model.event import Json
    from pillion.settings.problems import Problem

BACK_WITHIN_S = 2.5
"""A worker that hangs up and is back by then has not ended: only the line was cut."""
_MOST_PROBLEMS = 20


class Telling:
    """Make it inside the running loop. `event` is given kind, reason and data."""

    def __init__(self, event: Callable[[str, str, dict[str, Json]], None]) -> None:
        self._event = event
        self._loop = asyncio.get_running_loop()
        self._journal = BreakerJournal()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._complaint = ""
        self._allowance = Allowance(ALL_BURST, ALL_PER_S)
        self._untold = 0

    def close(self) -> None:
        """Tell no more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def checked(self, upstream: str, spec: EndpointSpec, standing: Standing) -> None:
        """An active check has turned."""
        kind = "healthy" if standing.healthy else "unhealthy"
        why = standing.why or "its check passes"
        data: dict[str, Json] = {"upstream": upstream, "endpoint": spec.key}
        self._within_reason(kind, f"{upstream}: {spec.key}: {why}", data)

    def looked_up(self, name: str, error: str) -> None:
        """A name cannot be resolved any more (or never could), or can be again, when `error` is empty."""
        if error:
            self._within_reason("unresolved", error, {"name": name})
        else:
            self._within_reason("resolved", f"{name} is found again", {"name": name})

    def _within_reason(self, kind: str, reason: str, data: dict[str, Json]) -> None:
        """Enter it unless there were too many; how they stand is in the policy in any case."""
        now = self._loop.time()
        if self._allowance.ready_at(now) > now:
            self._untold += 1
            return
        self._allowance.take(now)
        self._event(kind, reason, {**data, "untold": self._untold} if self._untold else data)
        self._untold = 0

    def forced(self, upstream: str, endpoint: str, action: str) -> None:
        """Somebody has opened or closed a circuit."""
        self._event(
            "circuit-forced",
            f"{f'{upstream} {endpoint}'.rstrip()}: {action}, by hand",
            {"upstream": upstream, "endpoint": endpoint, "action": action},
        )

    def refused(self, worker: Worker, refused: Refused) -> None:
        """A worker cannot use a policy."""
        self._event(
            "policy-refused",
            f"{worker.name}: {refused.reason}",
            {"worker": worker.name, "revision": refused.revision},
        )

    def problems(self, problems: Sequence[Problem]) -> None:
        """What is wrong with the configuration's keys; nothing any more when it is empty."""
        if problems:
            self.complain(str(problems[0]), [str(one) for one in problems])
        else:
            self._complaint = ""

    def complain(self, what: str, problems: Sequence[str] = ()) -> None:
        """Why there is no policy of what is wanted; once, not with every look."""
        if what != self._complaint:
            self._complaint = what
            self._event("policy-refused", what, {"problems": [*problems[:_MOST_PROBLEMS]]})

    # Circuits.

    def why_open(self, upstream: str, endpoint: str) -> str:
        """Why a circuit is open, as far as it was heard; empty otherwise."""
        return self._journal.reason(upstream, endpoint)

    def transition(self, worker: Worker, change: Transition) -> None:
        """A breaker of a worker has changed."""
        self._enter(self._journal.observe(worker.name, change, self._loop.time()))
        self._later()

    def reported(self, worker: Worker, report: Report) -> None:
        """How they stand in a worker: what nobody heard is learnt from it."""
        for entry in self._journal.sync(worker.name, report, self._loop.time()):
            self._enter(entry)
        self._later()

    def gone(self, worker: Worker) -> None:
        """A worker's breakers are gone with it, unless it comes back."""
        self._journal.gone(worker.name)
        if self._timer is None and not self._closed:
            self._timer = self._loop.call_later(BACK_WITHIN_S, self._due)

    def _later(self) -> None:
        if self._timer is not None or self._closed:
            return
        due_s = self._journal.wake_at(self._loop.time())
        if due_s is not None:
            self._timer = self._loop.call_at(due_s, self._due)

    def _due(self) -> None:
        self._timer = None
        for entry in self._journal.tick(self._loop.time()):
            self._enter(entry)
        self._later()

    def _enter(self, entry: Entry | None) -> None:
        if entry is None:
            return
        data: dict[str, Json] = {
            "upstream": entry.upstream,
            "endpoint": entry.endpoint,
            "workers": [*entry.workers],
            "forced": entry.forced,
            "untold": entry.untold,
        }
        reason = f": {entry.reason}" if entry.reason else ""
        self._event(entry.kind, f"{entry.upstream}: {entry.endpoint}{reason}", data)
