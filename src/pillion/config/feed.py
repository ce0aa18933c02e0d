"""Tells those who wait that something has changed for them, and where they stand then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pillion.config.ring import Ring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pillion.config.ring import Selection
    from pillion.config.tree import Step


class _Waiter:
    __slots__ = ("future", "known", "selection")

    def __init__(self, selection: Selection, future: asyncio.Future[None]) -> None:
        self.selection = selection
        self.future = future
        self.known: int | None = None


class Feed:
    """The ring of changes, and those who wait for the next one; used from one loop."""

    def __init__(self, ring: Ring | None = None) -> None:
        self.ring = ring if ring is not None else Ring()
        self._by_key: dict[str, set[_Waiter]] = {}
        self._by_prefix: set[_Waiter] = set()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._by_prefix) + sum(map(len, self._by_key.values()))

    def begin(self, revision: int) -> None:
        """What follows `revision` has nothing to do with what was before: everybody begins anew."""
        self.ring.begin(revision)
        self._wake_all()

    def skip(self, revision: int) -> None:
        """Something has changed up to `revision`, and only the store's history knows how: everybody asks it."""
        self.ring.skip(revision)
        self._wake_all()

    def publish(self, revision: int, steps: Sequence[Step]) -> None:
        """Take in what `revision` has changed, and wake whom it concerns."""
        before = self.ring.end
        epoch = self.ring.epoch
        group = self.ring.add(revision, steps)
        if group is None:
            return
        if self.ring.epoch != epoch:
            self._wake_all()
            return
        for step in group.steps:
            for waiter in [*self._by_key.get(step.key, ()), *self._by_prefix]:
                if waiter.selection.takes(step):
                    self._wake(waiter, before)

    async def wait(self, selection: Selection, cursor: int, within_s: float | None) -> int:
        """Wait until something that `selection` sees changes behind `cursor`; return where the watcher then stands.

        Returns at once when something has; and after `within_s` seconds in any case. What lies between `cursor` and
        the revision that is returned does not concern the watcher.
        """
        ring = self.ring
        if cursor < ring.end and ring.changed(cursor, selection) is not False:
            return cursor
        waiter = _Waiter(selection, asyncio.get_running_loop().create_future())
        self._enter(waiter)
        timer = None
        if within_s is not None:
            timer = asyncio.get_running_loop().call_later(within_s, _resolve, waiter.future)
        try:
            await waiter.future
        finally:
            if timer is not None:
                timer.cancel()
            self._leave(waiter)
        return max(cursor, ring.end if waiter.known is None else waiter.known)

    def _wake_all(self) -> None:
        for waiter in [*self._by_prefix, *(w for some in self._by_key.values() for w in some)]:
            self._wake(waiter, 0)

    def _wake(self, waiter: _Waiter, known: int) -> None:
        if waiter.known is None:
            waiter.known = known
        _resolve(waiter.future)

    def _enter(self, waiter: _Waiter) -> None:
        key = waiter.selection.key
        if key is None:
            self._by_prefix.add(waiter)
        else:
            self._by_key.setdefault(key, set()).add(waiter)

    def _leave(self, waiter: _Waiter) -> None:
        key = waiter.selection.key
        if key is None:
            self._by_prefix.discard(waiter)
            return
        waiters = self._by_key[key]
        waiters.discard(waiter)
        if not waiters:
            del self._by_key[key]


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
