"""The merge: announcements and registrations come in, services with their instances and an order of changes come out.

Revisions are this agent's own. They begin at the microsecond of its start and grow by one per change, which no registry
keeps up for a million changes a second: so every revision of an agent before us is below our first one, and what is
below or ahead of what we know is foreign. A reader that comes with a foreign revision is never made to wait
for a change after it, but is given the present state at once. Numbers stay below 2**53, where JSON's readers are exact.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pillion.discovery.leases import Leases

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from pillion.discovery.instance import ServiceInstance

MOST_INSTANCES = 10_000
MOST_CHANGES = 8192
MOST_NAMES = 20_000


class Change(NamedTuple):
    """One step of the registry: what an instance was (None: it was not there) and what it is (None: it is gone)."""

    revision: int
    service: str
    id: str
    old: ServiceInstance | None
    new: ServiceInstance | None


class Registry:
    """All services that this agent knows. `first` is the revision that it begins with.

    `refused` counts instances beyond `MOST_INSTANCES`, which are left out.
    """

    def __init__(self, first: int, leases: Leases | None = None) -> None:
        self.first = first
        self.revision = first
        self.refused = 0
        self._leases = leases if leases is not None else Leases()
        self._announced: dict[str, ServiceInstance] = {}
        self._registered: dict[str, dict[str, ServiceInstance]] = {}
        self._services: dict[str, dict[str, ServiceInstance]] = {}
        self._stale: dict[str, set[str]] = {}
        self._count = 0
        self._changed: dict[str, int] = {}
        self._forgotten = first
        self._changes: deque[Change] = deque(maxlen=MOST_CHANGES)
        self._listeners: list[Callable[[Change], None]] = []

    # What is there.

    def __len__(self) -> int:
        """How many instances there are."""
        return self._count

    @property
    def names(self) -> Collection[str]:
        """The services that have an instance."""
        return self._services.keys()

    def instances(self, service: str) -> Iterable[ServiceInstance]:
        """The instances of `service`, whatever their status; none when nobody knows it."""
        return self._services.get(service, {}).values()

    def is_stale(self, service: str) -> bool:
        """Whether some of them are kept although their leases have ended."""
        return service in self._stale

    def announced_by(self, instance: str) -> ServiceInstance | None:
        """What the sidecar `instance` announces."""
        return self._announced.get(instance)

    @property
    def announcers(self) -> frozenset[str]:
        """The sidecars that announce something."""
        return frozenset(self._announced)

    def registered(self, service: str) -> Mapping[str, ServiceInstance]:
        """The registrations of `service` by id, without those that are only kept."""
        return self._registered.get(service, {})

    @property
    def registrations(self) -> list[ServiceInstance]:
        """Every registration."""
        return [one for each in self._registered.values() for one in each.values()]

    # What has changed.

    def on_change(self, listener: Callable[[Change], None]) -> None:
        """Have `listener` called with every change; it must not raise."""
        self._listeners.append(listener)

    def changed(self, service: str) -> int:
        """The revision of the last change of `service`; for one never heard of the first of all."""
        return self._changed.get(service, self._forgotten)

    def knows(self, revision: int) -> bool:
        """Whether every change after `revision` is still at hand; not for one that another agent gave out."""
        oldest = self._changes[0].revision - 1 if self._changes else self.revision
        return oldest <= revision <= self.revision

    def is_ours(self, revision: int) -> bool:
        """Whether this agent has given out `revision`, so that waiting for a change after it makes sense."""
        return self.first <= revision <= self.revision

    def changes_after(self, revision: int) -> list[Change]:
        """Every change after `revision`, oldest first, when `knows(revision)`."""
        missing = self.revision - revision
        if missing <= 0:
            return []
        skipped = len(self._changes) - missing
        return [change for at, change in enumerate(self._changes) if at >= skipped]

    # What comes in.

    def announce(self, announcer: str, instance: ServiceInstance | None, now_s: float) -> None:
        """The sidecar `announcer` announces `instance` under its own name, or nothing (any more).

        Nothing when it was withdrawn, and when the lock is free: both are certain.
        """
        before = self._announced.get(announcer)
        if before == instance:
            return
        if before is not None:
            del self._announced[announcer]
            if instance is None or instance.service != before.service:
                keeping = self._leases.is_keeping(before.service)
                self._leases.gone(before.service, announcer, self._alive(before, now=False), now_s)
                self._settle_after(before.service, announcer, keeping=keeping)
        if instance is not None and self._admitted(instance):
            assert instance.id == announcer, instance
            self._announced[announcer] = instance
            self._settle(instance.service, announcer)

    def register(self, instance: ServiceInstance, now_s: float) -> None:
        """Somebody has registered `instance`, or has changed its registration."""
        service, key = instance.service, instance.id
        if key not in self._registered.get(service, {}) and not self._admitted(instance):
            return
        keeping = self._leases.is_keeping(service)
        self._registered.setdefault(service, {})[key] = instance
        self._leases.found(service, key, self._alive(instance, now=True), now_s)
        self._settle_after(service, key, keeping=keeping)

    def unregister(self, service: str, key: str, now_s: float, *, certain: bool) -> None:
        """A registration is gone: `certain` when somebody deleted it, not when its lease has ended."""
        there = self._registered.get(service, {})
        instance = there.pop(key, None)
        if not there:
            self._registered.pop(service, None)
        keeping = self._leases.is_keeping(service)
        if certain:
            shown = self._services.get(service, {}).get(key)
            alive = 0 if shown is None else self._alive(shown, now=False)
            self._leases.gone(service, key, alive, now_s)
        elif instance is not None:
            self._leases.lost(instance, self._alive(instance, now=False), now_s)
        self._settle_after(service, key, keeping=keeping)

    def tick(self, now_s: float) -> None:
        """Let time pass for what is kept although its lease has ended."""
        for service in self._leases.tick(now_s):
            self._settle_each(service)

    def has_room(self, instance: ServiceInstance) -> bool:
        """Whether there is room for `instance`, or it is there already."""
        there = self._services.get(instance.service, {})
        return self._count < MOST_INSTANCES or instance.id in there

    @property
    def next_s(self) -> float | None:
        """When `tick` is due; None when it is not."""
        return self._leases.next_s

    # How it comes together.

    def _alive(self, instance: ServiceInstance, *, now: bool) -> int:
        """How many of a service are there without doubt, if `instance` is (not) there `now`, though not settled yet."""
        service, key = instance.service, instance.id
        there = self._services.get(service, {})
        stale = self._stale.get(service, set())
        was = key in there and key not in stale
        return len(there) - len(stale) - was + now

    def _admitted(self, instance: ServiceInstance) -> bool:
        if self.has_room(instance):
            return True
        self.refused += 1
        return False

    def _settle_after(self, service: str, key: str, *, keeping: bool) -> None:
        """Settle `key`, and with it all that is kept when keeping has begun, or has ended since `keeping`."""
        self._settle(service, key)
        if keeping != self._leases.is_keeping(service):
            self._settle_each(service)

    def _settle_each(self, service: str) -> None:
        for key in sorted({*self._stale.get(service, ()), *self._leases.kept(service)}):
            self._settle(service, key)

    def _settle(self, service: str, key: str) -> None:
        """Decide what readers see of one instance, and enter the change if there is one.

        A lock is certain, so an announcement hides a registration of the same id, and that one what is kept.
        """
        new = self._announced.get(key)
        if new is None or new.service != service:
            new = self._registered.get(service, {}).get(key)
        if new is None and (kept := self._leases.keeps(service, key)) is not None:
            new = msgspec.structs.replace(kept, stale=True)
        instances = self._services.get(service, {})
        old = instances.get(key)
        if old == new:
            return
        if new is None:
            del instances[key]
            self._count -= 1
            if not instances:
                del self._services[service]
        else:
            self._count += old is None
            self._services.setdefault(service, {})[key] = new
        self._mark(service, key, stale=new is not None and new.stale)
        self._enter(service, key, old, new)

    def _mark(self, service: str, key: str, *, stale: bool) -> None:
        if stale:
            self._stale.setdefault(service, set()).add(key)
        elif service in self._stale:
            self._stale[service].discard(key)
            if not self._stale[service]:
                del self._stale[service]

    def _enter(
        self, service: str, key: str, old: ServiceInstance | None, new: ServiceInstance | None
    ) -> None:
        self.revision += 1
        change = Change(self.revision, service, key, old, new)
        self._changes.append(change)
        # In the order of changes, so that the names to forget are those of longest ago.
        self._changed.pop(service, None)
        self._changed[service] = self.revision
        if len(self._changed) > MOST_NAMES:
            self._forgotten = self._changed.pop(next(iter(self._changed)))
        for listener in self._listeners:
            listener(change)
