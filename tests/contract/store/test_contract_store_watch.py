"""A watch: every change after a revision, in order, none twice, none left out, wherever it begins and whatever comes between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pillion.store.interface import Change, CompactedError
from store_host import until, watching

if TYPE_CHECKING:
    from pillion.store.interface import Store
    from store_host import SqliteHost


async def write_some(store: Store, count: int) -> list[tuple[int, str, bytes | None]]:
    """Puts and deletions under three prefixes; what every watcher must see."""
    done: list[tuple[int, str, bytes | None]] = []
    for number in range(count):
        key = f"{'abc'[number % 3]}/{number % 5}"
        value = None if number % 7 == 6 else b"%d" % number
        if value is None:
            revision = await store.delete(key, writer="w")
            if revision is None:
                continue
        else:
            revision = await store.put(key, value, writer="w")
        done.append((revision, key, value))
    return done


def shape(changes: list[Change]) -> list[tuple[int, str, bytes | None]]:
    return [(change.revision, change.key, change.value) for change in changes]


def test_it_can_be_resumed_from_every_revision(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open() as store:
            done = await write_some(store, 40)
            last = done[-1][0]
            for after in range(last + 1):
                async with watching(store, after=after) as watch:
                    if after < last:
                        await until("caught up", lambda w=watch: w.revision >= last)  # type: ignore[misc]
                    seen = watch.changes
                    assert shape(seen) == [one for one in done if one[0] > after]

    asyncio.run(main())


def test_it_goes_on_from_history_to_what_comes_without_a_gap(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open("a") as writer, engine.open("b") as other:
            done = await write_some(writer, 30)
            writing = asyncio.create_task(write_some(writer, 300))
            watches = []
            for after in range(0, 30, 3):
                watches.append((after, watching(other, after=after)))
                await asyncio.sleep(0)
            entered = [(after, await watch.__aenter__()) for after, watch in watches]
            done += await writing
            last = done[-1][0]
            for after, watch in entered:
                await until("seen", lambda w=watch: w.revision >= last)  # type: ignore[misc]
                assert watch.revisions == list(range(after + 1, last + 1))
            for _, context in watches:
                await context.__aexit__(None, None, None)

    asyncio.run(main())


def test_only_what_begins_with_one_of_the_prefixes_is_seen(engine: SqliteHost) -> None:
    async def main() -> None:
        async with (
            engine.open("a") as one,
            engine.open("b") as two,
            watching(one, ("a/", "c/")) as here,
            watching(two, ("a/", "c/")) as there,
            watching(two, ("none/",)) as nothing,
        ):
            done = await write_some(one, 60)
            wanted = [entry for entry in done if entry[1][0] in "ac"]
            for watch in (here, there):
                await until(
                    "seen",
                    lambda w=watch: len(w.revisions) >= len(wanted),  # type: ignore[misc]
                )
                seen = watch.changes
                assert shape(seen) == wanted
            assert nothing.revisions == []

    asyncio.run(main())


def test_a_watch_may_have_many_prefixes_or_none(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open() as store:
            done = await write_some(store, 40)
            last = done[-1][0]
            many = (*(f"none{number}/" for number in range(30)), "b/")
            async with watching(store, many) as watch, watching(store, ()) as nothing:
                await until("caught up", lambda: watch.revision >= last)
                await until("caught up", lambda: nothing.revision >= last)
                await store.put("b/last", b"", writer="w")
                await until("seen", lambda: "b/last" in watch.keys)
                assert set(watch.keys) == {key for _, key, _ in done if key[0] == "b"} | {"b/last"}
                assert nothing.keys == []

    asyncio.run(main())


def test_steps_say_how_far_they_go(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open() as store:
            async with watching(store, ("a/",)) as watch:
                done = await write_some(store, 60)
                last = max(revision for revision, key, _ in done if key.startswith("a/"))
                await until("seen", lambda: watch.revision >= last)
                at = 0
                for step in watch.seen:
                    assert step.revision > at
                    assert all(at < change.revision <= step.revision for change in step.changes)
                    at = step.revision
            # Whoever resumes from there misses nothing.
            async with watching(store, ("",), watch.revision) as rest:
                await store.put("end", b"", writer="w")
                await until("seen", lambda: "end" in rest.keys)
                assert rest.revisions == list(range(watch.revision + 1, rest.revision + 1))

    asyncio.run(main())


def test_a_change_has_its_value_writer_and_time(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open() as store, watching(store) as watch:
            await store.put("a", b"1", writer="somebody")
            await store.delete("a", writer="another")
            await until("seen", lambda: len(watch.revisions) == 2)
            put, delete = watch.changes
            assert (put.value, put.writer, delete.value, delete.writer) == (
                b"1",
                "somebody",
                None,
                "another",
            )
            assert 0 < put.time_s <= delete.time_s

    asyncio.run(main())


def test_a_reader_that_is_slow_loses_nothing(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open("a") as writer, engine.open("b") as reader:
            watch = reader.watch(("",), 0)
            await writer.put("k", bytes(100_000), writer="w")
            seen = [change.revision for change in (await anext(watch)).changes]
            await asyncio.gather(
                *(writer.put(f"k/{n % 9}", bytes(20_000), writer="w") for n in range(600))
            )
            async with asyncio.timeout(20):
                while seen[-1] < 601:
                    seen += [change.revision for change in (await anext(watch)).changes]
            await watch.aclose()
            assert seen == list(range(1, 602))

    asyncio.run(main())


def test_many_watchers_see_the_same(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open("a") as writer, engine.open("b") as reader:
            contexts = [watching(reader, ("k/",)) for _ in range(100)]
            watches = [await context.__aenter__() for context in contexts]
            for number in range(30):
                await writer.put(f"k/{number}", b"", writer="w")
            for watch in watches:
                await until("seen", lambda w=watch: len(w.revisions) >= 30)  # type: ignore[misc]
                assert watch.revisions == list(range(1, 31))
            for context in contexts:
                await context.__aexit__(None, None, None)

    asyncio.run(main())


def test_a_revision_that_is_forgotten_or_to_come_is_refused(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open(revisions=50) as store:
            async with asyncio.timeout(20):
                while await store.compacted() < 20:
                    await store.put("k", b"", writer="w")
            compacted = await store.compacted()
            revision = (await store.range("")).revision
            for after in (0, compacted - 1, revision + 1):
                with pytest.raises(CompactedError) as caught:
                    await anext(store.watch(("",), after))
                assert caught.value.revision == after
            async with watching(store, after=compacted) as watch:
                await until("seen", lambda: watch.revision >= revision)
                assert watch.revisions == list(range(compacted + 1, revision + 1))

    asyncio.run(main())


def test_a_watch_that_is_up_to_date_outlives_any_compaction(engine: SqliteHost) -> None:
    async def main() -> None:
        async with (
            engine.open("a", revisions=20) as writer,
            engine.open("b", revisions=20) as reader,
            watching(reader) as watch,
            watching(reader, ("never/",)) as quiet,
        ):
            for number in range(200):
                await writer.put("k", b"%d" % number, writer="w")
                await until("seen", lambda n=number: watch.revision > n)  # type: ignore[misc]
            assert watch.revisions == list(range(1, 201))
            assert await reader.compacted() > 0
            await writer.put("never/mind", b"", writer="w")
            await until("seen", lambda: quiet.keys == ["never/mind"])
            assert quiet.error is None

    asyncio.run(main())


def test_closing_a_watch_is_clean_and_the_others_go_on(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open() as store, watching(store) as stays:
            for number in range(10):
                async with watching(store):
                    await store.put("k", b"%d" % number, writer="w")
            await until("seen", lambda: stays.revision >= 10)
            assert stays.revisions == list(range(1, 11))

    asyncio.run(main())
