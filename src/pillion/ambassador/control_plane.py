"""The agent's side of the ambassador: gathers what changes, makes a snapshot of it, and gives it to the workers and to the file.

A burst of changes becomes one snapshot, and what changes nothing becomes none. Until the registry has been read and names have been looked
up, endpoints are those of the last snapshot, so that an agent that starts takes nothing away.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pillion.ambassador import snapshot as snapshots
from pillion.ambassador.active import ActiveChecks
from pillion.ambassador.names import Names, look_up
from pillion.ambassador.policy import Policy
from pillion.ambassador.policy_file import PolicyFile
from pillion.ambassador.publisher import Publisher
from pillion.ambassador.resolve import Sources, app_endpoints, endpoints_of, host_names, names_of
from pillion.ambassador.snapshot import POLICY_FILE, POLICY_SOCKET, Snapshot
from pillion.ambassador.steering import force, still_there
from pillion.ambassador.telling import Telling
from pillion.ambassador.wire import WireError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

    from pillion.ambassador.active import Standing
    from pillion.ambassador.resolve import Instance
    from pillion.ambassador.snapshot import EndpointSpec, Forced, UpstreamEndpoints
    from pillion.base.tasks import RootTasks
    from pillion.model.event import Json
    from pillion.model.stats import Stats
    from pillion.settings import Settings
    from pillion.settings.upstreams import ActiveCheck, Upstream

QUIET_S = 0.005
"""After a change others are waited for, as long as they keep coming, …"""
LONGEST_S = 0.05
"""… up to this, which is also the least time between two snapshots."""
REST = 10
"""Of the time in which snapshots are made and sent at most one part in so many is work: a registry of thousands may never come to rest."""
SETTLED_S = 1.0
HOST_NAMES_S = 30.0


class World(NamedTuple):
    """What the agent's other parts know. `instances` and `services` (names) give None while the registry has not been read."""

    instances: Callable[[str], Iterable[Instance] | None]
    services: Callable[[], Collection[str] | None]
    event: Callable[[str, str, dict[str, Json]], None]
    proxy_token: Callable[[], str]
    attempt: Callable[[Upstream, EndpointSpec, ActiveCheck], Awaitable[str]]
    look_up: Callable[[str], list[str]] = look_up


class ControlPlane:
    """Make it inside the running loop; nothing is bound, asked or written before `start`.

    `policy` is what holds, `publisher` knows the workers, `telling` the circuits. What the other parts learn is told by `settings`, `overlay`, `listeners` and `changed`.
    """

    def __init__(
        self, runtime_dir: str, instance: str, settings: Settings, tasks: RootTasks, world: World
    ) -> None:
        self._instance = instance
        self._tasks = tasks
        self._world = world
        self._loop = asyncio.get_running_loop()
        self._file = PolicyFile(os.path.join(runtime_dir, POLICY_FILE))
        self._listeners: dict[str, str] = {}
        self._forced: tuple[Forced, ...] = ()
        self._before: Snapshot | None = None
        self._first_s = 0.0
        self._next_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.telling = Telling(world.event)
        self._applied = asyncio.Event()
        self._started = False
        self._closed = False
        self.published = 0
        self.policy = Policy(settings)
        self.names = Names(self.changed, self.telling.looked_up, world.look_up)
        self.checks = ActiveChecks(world.attempt, tasks, self._checked)
        self.publisher = Publisher(
            os.path.join(runtime_dir, POLICY_SOCKET),
            on_transition=self.telling.transition,
            on_refused=self.telling.refused,
            on_applied=lambda _: self._applied.set(),
            on_report=self.telling.reported,
            on_gone=self.telling.gone,
        )

    # Life.

    @property
    def started(self) -> bool:
        """Whether it is the one that workers ask."""
        return self._started

    @property
    def snapshot(self) -> Snapshot | None:
        """What holds now, or held for the agent before us; None before there was anything."""
        return self._before

    def start(self) -> None:
        """This agent is the one in charge: go on from what the one before us left."""
        if self._started or self._closed:
            return
        self._started = True
        try:
            self._before = snapshots.read_file(self._file.path)
        except (OSError, ValueError) as error:
            sys.stderr.write(f"pillion-agent: cannot use {self._file.path}: {error}\n")
        if self._before is not None:
            self._forced = self._before.forced
            self._listeners = self._listeners or self._before.listeners
            self.policy.begin_with(self._before.overlay)
            self.checks.begin_with(
                {
                    (o.name, e.key)
                    for o in self._before.upstreams
                    for e in o.endpoints
                    if not e.healthy
                }
            )
        try:
            self.publisher.bind()
        except OSError as error:
            self._world.event("failed", f"cannot bind {POLICY_SOCKET}: {error.strerror}", {})
        else:
            self._tasks.start("serve policy", self.publisher.serve(), may_end=True)
        self.changed()

    def close(self) -> None:
        """Another agent takes over, or nobody: workers go on with what they have, and look for the next."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self.telling.close()
        self.names.close()
        self.checks.close()
        self.publisher.close()

    # What changes.

    def settings(self, settings: Settings) -> None:
        """The settings were reloaded."""
        self.policy.change_file(settings)
        self.telling.problems(self.policy.problems)
        self.changed()

    def overlay(self, values: Mapping[str, object]) -> None:
        """The configuration keys under `overlay.PREFIX`, all of them, as they are now."""
        self.policy.change_overlay(values)
        self.telling.problems(self.policy.problems)
        self.changed()

    def listeners(self, listeners: Mapping[str, str]) -> None:
        """Where the keeper listens for the ambassador."""
        if dict(listeners) != self._listeners:
            self._listeners = dict(listeners)
            self.changed()

    def changed(self) -> None:
        """Something may be different: look within `QUIET_S` seconds of the last change, `LONGEST_S` of the first."""
        if not self._started or self._closed:
            return
        now = self._loop.time()
        if self._timer is None:
            self._first_s = now
        else:
            self._timer.cancel()
        due_s = max(min(now + QUIET_S, self._first_s + LONGEST_S), self._next_s)
        self._timer = self._loop.call_at(due_s, self._publish)

    def force(self, upstream: str, endpoint: str, action: str) -> None:
        """Open or close breakers by hand, or give them back to themselves; see `steering.force`, which may raise `ValueError`."""
        self._forced = force(self._forced, upstream, endpoint, action)
        self.telling.forced(upstream, endpoint, action)
        self._publish()

    async def settled(self) -> None:
        """Wait until every worker goes by the newest snapshot, at most `SETTLED_S` seconds."""
        try:
            async with asyncio.timeout(SETTLED_S):
                while self._before is not None and any(
                    one.revision != self._before.revision for one in self.publisher.workers
                ):
                    self._applied.clear()
                    await self._applied.wait()
        except TimeoutError:
            return  # who asks is shown who is behind

    def stats(self) -> Stats:
        """What is counted."""
        workers = self.publisher.workers
        revision = 0 if self._before is None else self._before.revision
        return {
            "policy_snapshots_total": self.published,
            "policy_workers": len(workers),
            "policy_workers_behind": sum(one.revision != revision for one in workers),
            "policy_file_failures_total": self._file.failed,
            "policy_refused": len(self.policy.problems),
            "policy_strangers_total": self.publisher.refused + self.publisher.malformed,
            "policy_look_up_failures_total": self.names.failures,
            "policy_checks": len(self.checks),
            "policy_check_attempts_total": self.checks.attempts,
            "policy_check_failures_total": self.checks.failures,
            "policy_checks_left_out": self.checks.overflow,
            "policy_names_left_out": self.names.overflow,
        }

    # How a snapshot comes about.

    def _publish(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._started or self._closed:
            return
        began_s = time.monotonic()
        self._publish_if_new(self._compose())
        took_s = time.monotonic() - began_s
        self._next_s = self._loop.time() + max(LONGEST_S, REST * took_s)

    def _publish_if_new(self, new: Snapshot) -> None:
        before = self._before
        if before is not None and new.says_the_same(before):
            if self.publisher.snapshot is None:
                self._send(before)  # an agent before us has said the same
            return
        least = 0 if before is None else before.revision
        self._send(msgspec.structs.replace(new, revision=max(least + 1, time.time_ns() // 1000)))

    def _send(self, snapshot: Snapshot) -> None:
        try:
            self.publisher.publish(snapshot)
        except WireError as error:
            self.telling.complain(f"cannot publish the policy: {error}")
            return
        self._before = snapshot
        self.published += 1
        if self._file.want(snapshots.encode(snapshot)):
            self._tasks.start("write policy", self._file.write(), may_end=True)

    def _compose(self) -> Snapshot:
        policy, world = self.policy, self._world
        before = {} if self._before is None else {o.name: o for o in self._before.upstreams}
        services = world.services()
        policy.change_services(before if services is None else services)
        settings = policy.settings
        self._look_for_names()
        sources = Sources(world.instances, self.names.answer)
        found = [
            endpoints_of(name, one, sources, before.get(name))
            for name, one in policy.upstreams.items()
        ]
        self.checks.configure(policy.upstreams, {one.name: one.endpoints for one in found})
        upstreams = [self._with_health(one) for one in found]
        if policy.app_upstream is not None:
            upstreams.append(app_endpoints(settings.app.port))
        names = frozenset(one.name for one in upstreams)
        self._forced = still_there(self._forced, names)
        return Snapshot(
            revision=0,
            ambassador=policy.encoded,
            inbound=policy.encoded_inbound,
            service=settings.service.name or settings.app.name or self._instance,
            instance=self._instance,
            zone=settings.service.zone,
            app_port=settings.app.port,
            listeners=self._listeners,
            upstreams=tuple(upstreams),
            proxy_token=world.proxy_token(),
            forced=self._forced,
            overlay=policy.overlay,
        )

    def _look_for_names(self) -> None:
        wanted = names_of(self.policy.upstreams)
        for upstream in self.policy.upstreams.values():
            if upstream.service is not None:
                for name in host_names(self._world.instances(upstream.service) or ()):
                    wanted.setdefault(name, HOST_NAMES_S)
        self.names.want(wanted)

    def _with_health(self, found: UpstreamEndpoints) -> UpstreamEndpoints:
        """The endpoints as active checks see them; who is not asked is as the registry says."""
        sick = {
            e.key for e in found.endpoints if not self.checks.standing(found.name, e.key).healthy
        }
        if not sick:
            return found
        endpoints = tuple(
            msgspec.structs.replace(one, healthy=False) if one.key in sick else one
            for one in found.endpoints
        )
        return msgspec.structs.replace(found, endpoints=endpoints)

    def _checked(self, upstream: str, spec: EndpointSpec, standing: Standing) -> None:
        self.telling.checked(upstream, spec, standing)
        self.changed()
