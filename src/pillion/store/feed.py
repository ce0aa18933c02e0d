"""Every change to every watcher, in order and once: what is new is read once and handed to all who are up to date.

A watcher that is behind (just begun, too slow, the store was away) reads the table from where it is until it has caught up. Nobody
looks without a reason: `nudge` says that somebody wrote, `look` that somebody may have.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from typing import TYPE_CHECKING, Protocol

from pillion.errors import PillionError
from pillion.store.interface import (
    Change,
    Changes,
    CompactedError,
    StoreUnavailableError,
)
from pillion.store.rows import Batch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pillion.base.tasks import RootTasks

MOST_WATCHERS = 20_000
_MOST_QUEUED = 512
_MOST_QUEUED_BYTES = 4 << 20
_BATCH = 256
# How far a watcher whose keys do not change may lag behind before it is told how far the store is; less where less history is kept.
_MOST_LAG = 128
# A watcher whose store is away is told when it is back; this is for what nobody can tell.
_AGAIN_S = 5.0


class Source(Protocol):
    """Where changes are read: `generation` is how often the store turned out to be another one."""

    @property
    def generation(self) -> int:
        """Counts up when revisions of before mean nothing any more."""

    async def changes(self, after: int, limit: int, prefixes: tuple[str, ...]) -> Batch:
        """The changes after `after`; raises `CompactedError`, `StoreUnavailableError`."""


class _Watcher:
    __slots__ = (
        "generation",
        "live",
        "prefixes",
        "queue",
        "queued",
        "queued_bytes",
        "seen",
        "wake",
    )

    def __init__(self, prefixes: tuple[str, ...], after: int, generation: int) -> None:
        self.prefixes = prefixes
        self.generation = generation
        self.live = False
        # How far it has been told, and how far what is queued goes.
        self.seen = after
        self.queued = after
        self.queued_bytes = 0
        self.queue: deque[Changes] = deque()
        self.wake = asyncio.Event()

    def add(self, batch: Batch, lag: int) -> bool:
        """Queue what is new for it; False when it is too slow, and must read for itself."""
        changes = tuple(
            change
            for change in batch.changes
            if change.revision > self.queued and change.key.startswith(self.prefixes)
        )
        if batch.revision <= self.queued:
            return True
        self.queued = batch.revision
        if not changes and batch.revision - self.seen < lag:
            return True
        self.queued_bytes += _bytes_of(changes)
        if len(self.queue) >= _MOST_QUEUED or self.queued_bytes > _MOST_QUEUED_BYTES:
            self.fall_back()
            return False
        self.queue.append(Changes(batch.revision, changes))
        self.wake.set()
        return True

    def take(self) -> Changes:
        changes = self.queue.popleft()
        self.queued_bytes -= _bytes_of(changes.changes)
        self.seen = changes.revision
        return changes

    def fall_back(self) -> None:
        if not self.queue:
            # Nothing of what was looked through concerned it.
            self.seen = self.queued
        self.queue.clear()
        self.queued_bytes = 0
        self.queued = self.seen
        self.live = False
        self.wake.set()


class Feed:
    """The watchers of one engine, whose history goes back for `revisions` writes.

    `slow` counts how often a watcher had to read for itself because it was too slow.
    """

    def __init__(self, source: Source, tasks: RootTasks, *, revisions: int) -> None:
        self._source = source
        self._lag = max(1, min(_MOST_LAG, revisions // 4))
        self._tasks = tasks
        self._watchers: set[_Watcher] = set()
        # How far those who are up to date have come, and in which of the source's generations.
        self._position = 0
        self._generation = 0
        # Up to here it is known that nothing unread concerns anybody.
        self._accounted = 0
        self._nudges = 0
        self._reading = False
        self._again = False
        self._back = asyncio.Event()
        self.slow = 0

    def __len__(self) -> int:
        """How many watchers there are."""
        return len(self._watchers)

    def watch(self, prefixes: tuple[str, ...], after: int) -> AsyncGenerator[Changes, None]:
        """See `Store.watch`; `after` is a revision of the store as it is known now."""
        return self._watch(_Watcher(prefixes, after, self._source.generation))

    async def _watch(self, watcher: _Watcher) -> AsyncGenerator[Changes, None]:
        if len(self._watchers) >= MOST_WATCHERS:
            raise StoreUnavailableError(
                f"cannot watch: {MOST_WATCHERS} watch already; share one watch among several readers"
            )
        self._watchers.add(watcher)
        try:
            while True:
                if watcher.queue:
                    yield watcher.take()
                elif not watcher.live:
                    changes = await self._catch_up(watcher)
                    if changes is not None:
                        yield changes
                else:
                    watcher.wake.clear()
                    await watcher.wake.wait()
        finally:
            self._watchers.discard(watcher)

    def nudge(self, revision: int, key: str | None) -> None:
        """Somebody has written `key` (several keys: None) as `revision`."""
        self._nudges += 1
        if not self._watchers or revision <= self._position:
            return
        if (
            key is not None
            and revision == self._accounted + 1
            and revision - self._position < self._lag
            and not any(key.startswith(watcher.prefixes) for watcher in self._watchers)
        ):
            self._accounted = revision
        elif revision > self._accounted:
            self._read()

    def wrote(self, changes: list[Change]) -> None:
        """Changes of our own, in order: where nothing lies between them and what is known, they need not be read again."""
        last = changes[-1]
        if (
            self._reading
            or changes[0].revision != self._accounted + 1
            or last.revision - changes[0].revision != len(changes) - 1
            or self._generation != self._source.generation
            or not any(watcher.live for watcher in self._watchers)
        ):
            self.nudge(last.revision, last.key if len(changes) == 1 else None)
            return
        self._nudges += 1
        self._give(Batch(last.revision, tuple(changes), more=False))

    def look(self) -> None:
        """Something may have been missed, or the store is back: let everybody look."""
        self._nudges += 1
        back, self._back = self._back, asyncio.Event()
        back.set()
        if self._watchers:
            self._read()

    async def _catch_up(self, watcher: _Watcher) -> Changes | None:
        nudges, back = self._nudges, self._back
        try:
            batch = await self._source.changes(watcher.seen, _BATCH, watcher.prefixes)
        except StoreUnavailableError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_S * random.uniform(0.75, 1.25)):
                    await back.wait()
            return None
        if watcher.generation != self._source.generation:
            raise CompactedError(watcher.seen, watcher.seen)
        moved = batch.revision > watcher.seen
        watcher.seen = watcher.queued = batch.revision
        if not batch.more:
            self._join(watcher, nudges)
        return Changes(batch.revision, batch.changes) if moved else None

    def _join(self, watcher: _Watcher, nudges: int) -> None:
        """Make `watcher` one of those who are up to date, unless the others are ahead of it."""
        if self._generation != self._source.generation:
            self._fall_back()
        if not any(one.live for one in self._watchers):
            self._generation = self._source.generation
            self._position = watcher.seen
            self._accounted = watcher.seen
        elif watcher.seen < self._position:
            return
        watcher.live = True
        if nudges != self._nudges:
            # Somebody has written while it was reading.
            self._read()

    def _read(self) -> None:
        if self._reading:
            self._again = True
            return
        self._reading = True
        try:
            self._tasks.start("store feed", self._hand_out(), may_end=True)
        except PillionError:
            self._reading = False  # the process is ending

    async def _hand_out(self) -> None:
        try:
            while True:
                self._again = False
                while any(one.live for one in self._watchers) and await self._hand_out_batch():
                    pass
                if not self._again:
                    return
        finally:
            self._reading = False

    async def _hand_out_batch(self) -> bool:
        """Read one batch and hand it out; True when there is more."""
        position = self._position
        try:
            batch = await self._source.changes(position, _BATCH, ("",))
        except (StoreUnavailableError, CompactedError):
            self._fall_back()
            return False
        if self._generation != self._source.generation:
            self._fall_back()
            return False
        if position != self._position:
            return True  # all who were up to date have left, and others have come
        self._give(batch)
        return batch.more

    def _give(self, batch: Batch) -> None:
        """Hand a batch to all who are up to date."""
        self._position = batch.revision
        self._accounted = max(self._accounted, batch.revision)
        for watcher in self._watchers:
            if watcher.live and not watcher.add(batch, self._lag):
                self.slow += 1

    def _fall_back(self) -> None:
        """Let each find out for itself whether it can go on."""
        for watcher in self._watchers:
            watcher.fall_back()


def _bytes_of(changes: tuple[Change, ...]) -> int:
    return sum(len(change.key) + len(change.value or b"") for change in changes)
