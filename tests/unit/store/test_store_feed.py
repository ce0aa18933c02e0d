"""The feed over a table in memory: who reads when, what a slow watcher costs, and what happens while the table is away."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from pillion.base.tasks import RootTasks
from pillion.store.feed import Feed
from pillion.store.interface import Change, CompactedError, StoreUnavailableError
from pillion.store.rows import Batch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pillion.store.interface import Changes


class Table:
    """Changes in memory; counts who reads."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.generation = 0
        self.compacted = 0
        self.away = False
        self.reads = 0

    def write(self, *keys: str) -> int:
        self.keys += keys
        return len(self.keys)

    async def changes(self, after: int, limit: int, prefixes: tuple[str, ...]) -> Batch:
        self.reads += 1
        if self.away:
            raise StoreUnavailableError("cannot read: away")
        newest = len(self.keys)
        if after < self.compacted or after > newest:
            raise CompactedError(after, self.compacted)
        end = min(newest, after + limit)
        found = tuple(
            Change(key=key, value=b"x" * 100, revision=revision, time_s=0.0)
            for revision, key in enumerate(self.keys[after:end], after + 1)
            if key.startswith(prefixes)
        )
        await asyncio.sleep(0)
        return Batch(end, found, more=end < newest)


class Street:
    """A feed with its table."""

    def __init__(self) -> None:
        self.table = Table()
        self.ends: list[object] = []
        self.tasks = RootTasks(self.ends.append)
        self.feed = Feed(self.table, self.tasks, revisions=1000)

    def put(self, key: str) -> None:
        self.feed.nudge(self.table.write(key), key)

    async def quiet(self) -> None:
        """Until nobody has anything to do."""
        for _ in range(50):
            await asyncio.sleep(0)


async def take(watch: AsyncGenerator[Changes, None], count: int) -> list[int]:
    seen: list[int] = []
    async with asyncio.timeout(5):
        while len(seen) < count:
            seen += [change.revision for change in (await anext(watch)).changes]
    return seen


def test_what_nobody_cares_for_is_not_read() -> None:
    async def main() -> None:
        street = Street()
        watch = street.feed.watch(("a/",), 0)
        waiting = asyncio.create_task(take(watch, 1))
        await street.quiet()
        reads = street.table.reads
        for number in range(20):
            street.put(f"b/{number}")
        await street.quiet()
        assert street.table.reads == reads
        street.put("a/1")
        assert await waiting == [21]
        await watch.aclose()

    asyncio.run(main())


def test_what_was_not_rung_for_is_found_with_the_next_bell() -> None:
    async def main() -> None:
        street = Street()
        watch = street.feed.watch(("a/",), 0)
        waiting = asyncio.create_task(take(watch, 1))
        await street.quiet()
        street.table.write("a/silent")
        street.put("b/loud")
        assert await waiting == [1]
        await watch.aclose()

    asyncio.run(main())


def test_one_read_serves_all_who_are_up_to_date() -> None:
    async def main() -> None:
        street = Street()
        watches = [street.feed.watch(("a/",), 0) for _ in range(50)]
        waiting = [asyncio.create_task(take(watch, 1)) for watch in watches]
        await street.quiet()
        reads = street.table.reads
        street.put("a/1")
        assert await asyncio.gather(*waiting) == [[1]] * 50
        assert street.table.reads == reads + 1
        assert len(street.feed) == 50
        for watch in watches:
            await watch.aclose()
        assert len(street.feed) == 0

    asyncio.run(main())


def test_a_slow_watcher_holds_a_bounded_queue_and_reads_for_itself() -> None:
    async def main() -> None:
        street = Street()
        watch, other = street.feed.watch(("",), 0), street.feed.watch(("",), 0)
        first = asyncio.create_task(take(watch, 1))
        rest = asyncio.create_task(take(other, 2001))
        await street.quiet()
        street.put("k")
        assert await first == [1]
        for _ in range(2000):
            street.put("k")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert street.feed.slow == 1
        assert await rest == list(range(1, 2002))
        assert await take(watch, 2000) == list(range(2, 2002))
        for one in (watch, other):
            await one.aclose()
        assert street.ends == []

    asyncio.run(main())


def test_away_and_back() -> None:
    async def main() -> None:
        street = Street()
        watch = street.feed.watch(("",), 0)
        waiting = asyncio.create_task(take(watch, 2))
        await street.quiet()
        street.table.away = True
        street.put("a")
        street.put("b")
        await street.quiet()
        assert not waiting.done()
        street.table.away = False
        street.feed.look()
        assert await waiting == [1, 2]
        await watch.aclose()

    asyncio.run(main())


def test_another_store_ends_every_watch() -> None:
    async def main() -> None:
        street = Street()
        watch = street.feed.watch(("",), 0)
        waiting = asyncio.create_task(take(watch, 2))
        await street.quiet()
        street.put("a")
        await street.quiet()
        street.table.generation += 1
        street.feed.look()
        with pytest.raises(CompactedError):
            await waiting

    asyncio.run(main())


def test_a_compaction_does_not_reach_who_has_seen_all_that_concerns_it() -> None:
    async def main() -> None:
        street = Street()
        watch = street.feed.watch(("a/",), 0)
        waiting = asyncio.create_task(take(watch, 1))
        await street.quiet()
        for number in range(300):
            street.put(f"b/{number}")
            await street.quiet()
            street.table.compacted = max(0, number - 249)
        street.put("a/1")
        assert await waiting == [301]
        await watch.aclose()

    asyncio.run(main())


def test_too_many_watchers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pillion.store.feed.MOST_WATCHERS", 2)

    async def main() -> None:
        street = Street()
        tasks = [asyncio.create_task(take(street.feed.watch(("",), 0), 1)) for _ in range(2)]
        await street.quiet()
        with pytest.raises(StoreUnavailableError, match=r"^cannot watch"):
            await anext(street.feed.watch(("",), 0))
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    asyncio.run(main())
