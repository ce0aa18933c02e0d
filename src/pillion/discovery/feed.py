"""What readers wait for: the next change of one service or of all, as a view that they can resume from any revision.

A reader keeps nothing here but its place, a revision. What it has missed is read from the registry's changes; a reader that is
slower than those are kept begins anew from the present state. So no queue grows with a slow client.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pillion.discovery.instance import ServiceInstance
    from pillion.discovery.registry import Change, Registry
    from pillion.discovery.selection import Selection

PUT = "put"
DELETE = "delete"


class Step(NamedTuple):
    """One change as a reader with a selection sees it: `kind` is put or delete, `instance` what is or was there."""

    kind: str
    revision: int
    instance: ServiceInstance


class Feed:
    """Wakes those that wait for a change of the registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, set[asyncio.Future[int]]] = {}
        registry.on_change(self._changed)

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    async def after(self, revision: int, service: str = "") -> int:
        """Wait for a change of `service` (of any when empty) after `revision`; at once for a foreign revision.

        Returns where the reader stands: what lies between `revision` and that does not concern it.
        """
        registry = self._registry
        while registry.is_ours(revision) and self._last(service) <= revision:
            future: asyncio.Future[int] = self._loop.create_future()
            self._waiting.setdefault(service, set()).add(future)
            try:
                revision = max(revision, await future)
            finally:
                self._forget(service, future)
        return revision

    async def within(self, within_s: float, revision: int, service: str = "") -> None:
        """Wait as `after` does, at most `within_s` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self.after(revision, service)

    def _last(self, service: str) -> int:
        return self._registry.changed(service) if service else self._registry.revision

    def _changed(self, change: Change) -> None:
        for service in (change.service, ""):
            for future in self._waiting.get(service, ()):
                if not future.done():
                    future.set_result(change.revision - 1)

    def _forget(self, service: str, future: asyncio.Future[int]) -> None:
        waiting = self._waiting.get(service)
        if waiting is not None:
            waiting.discard(future)
            if not waiting:
                del self._waiting[service]


def steps_after(
    registry: Registry, revision: int, service: str, selection: Selection
) -> list[Step] | None:
    """What a reader of `service` that stands at `revision` has missed, oldest first.

    None when that cannot be told: the revision is foreign, or from too long ago. An instance that leaves the selection is
    deleted for this reader, one that enters it is put.
    """
    if not registry.knows(revision):
        return None
    steps = []
    for change in registry.changes_after(revision):
        if change.service != service:
            continue
        was = change.old is not None and selection.matches(change.old)
        if change.new is not None and selection.matches(change.new):
            steps.append(Step(PUT, change.revision, change.new))
        elif was and change.old is not None:
            steps.append(Step(DELETE, change.revision, change.old))
    return steps


def services_after(registry: Registry, revision: int) -> list[tuple[str, int]] | None:
    """The services that have changed after `revision`, each with its last change, in that order; None as above.

    A reader that has taken some of them in resumes from the revision of the last one, and is given the others.
    """
    if not registry.knows(revision):
        return None
    last: dict[str, int] = {}
    for change in registry.changes_after(revision):
        last.pop(change.service, None)
        last[change.service] = change.revision
    return list(last.items())
