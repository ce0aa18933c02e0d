"""Values under keys: what is read is what was written, by revision, as of now and as of then."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from pillion.store.interface import (
    ABSENT,
    KEY_BYTES,
    VALUE_BYTES,
    Change,
    CompactedError,
    ConflictError,
    StoreFullError,
)
from store_host import until, watching

if TYPE_CHECKING:
    from pillion.store.interface import Store
    from store_host import SqliteHost


def test_a_new_store_is_empty_well_and_has_an_identity(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open() as store:
            assert await store.read("a") == (0, None)
            assert (await store.range("")).entries == ()
            assert await store.compacted() == 0
            assert await store.history("a", limit=10) == []
            assert (store.health.readable, store.health.writable, store.health.reason) == (
                True,
                True,
                "",
            )
            assert store.identity
            assert store.engine in {"sqlite", "etcd", "nats"}

    asyncio.run(main())


def test_a_write_is_one_revision_and_is_read_whole(engine: SqliteHost) -> None:
    async def main() -> None:
        before = time.time()
        async with engine.open() as store:
            assert await store.put("a", b"1", writer="one") == 1
            assert await store.put("b", b"", writer="two") == 2
            assert await store.put("a", b"\0\xff", writer="three") == 3
            revision, a = await store.read("a")
            assert a is not None
            assert (revision, a.key, a.value, a.revision, a.created, a.writer, a.lease) == (
                3,
                "a",
                b"\0\xff",
                3,
                1,
                "three",
                None,
            )
            assert before - 1 <= a.time_s <= time.time() + 1
            revision, b = await store.read("b")
            assert b is not None
            assert (revision, b.value, b.revision) == (3, b"", 2)

    asyncio.run(main())


def test_a_deletion_is_a_revision_and_the_next_write_creates_anew(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open() as store:
            await store.put("a", b"1", writer="w")
            assert await store.delete("a", writer="w") == 2
            assert await store.read("a") == (2, None)
            assert await store.delete("a", writer="w") is None
            assert (await store.read("a"))[0] == 2
            await store.put("a", b"2", writer="w")
            _, entry = await store.read("a")
            assert entry is not None
            assert (entry.revision, entry.created) == (3, 3)

    asyncio.run(main())


def test_compare_and_set_takes_only_the_revision_that_is_there(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open() as store:
            first = await store.put("a", b"1", writer="w", expect=ABSENT)
            with pytest.raises(ConflictError) as caught:
                await store.put("a", b"2", writer="w", expect=ABSENT)
            assert caught.value.key == "a"
            assert caught.value.current is not None
            assert (caught.value.current.value, caught.value.current.revision) == (b"1", first)
            assert str(caught.value).startswith("cannot ")
            second = await store.put("a", b"2", writer="w", expect=first)
            with pytest.raises(ConflictError):
                await store.put("a", b"3", writer="w", expect=first)
            with pytest.raises(ConflictError):
                await store.delete("a", writer="w", expect=first)
            await store.put("other", b"", writer="w")
            assert await store.delete("a", writer="w", expect=second) == second + 2
            with pytest.raises(ConflictError) as gone:
                await store.put("a", b"3", writer="w", expect=second)
            assert gone.value.current is None
            with pytest.raises(ConflictError):
                await store.delete("a", writer="w", expect=second)
            assert await store.delete("a", writer="w", expect=ABSENT) is None
            # What is refused takes no revision.
            assert (await store.read("a"))[0] == second + 2

    asyncio.run(main())


def test_what_is_out_of_bounds_is_refused_and_what_is_at_them_is_not(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open() as store:
            longest = "ä" * (KEY_BYTES // 2)
            assert await store.put(longest, bytes(VALUE_BYTES), writer="w") == 1
            for key in ("", longest + "a", "a\0b", "a\nb", "\ud800"):
                with pytest.raises(ValueError, match=r"^cannot"):
                    await store.put(key, b"", writer="w")
            with pytest.raises(ValueError, match=r"^cannot"):
                await store.put("a", bytes(VALUE_BYTES + 1), writer="w")
            assert (await store.range("")).revision == 1

    asyncio.run(main())


def test_a_range_is_in_the_order_of_keys_and_only_what_begins_with_the_prefix(
    engine: SqliteHost,
) -> None:
    keys = ["a", "a/", "a/b", "a/ä", "a/\U0010ffff", "a0", "b", "\ud7ff", "\ue000", "\U0010ffff"]

    async def main() -> None:
        async with engine.open() as store:
            for key in reversed(keys):
                await store.put(key, key.encode(), writer="w")
            for prefix in ["", "a", "a/", "a/\U0010ffff", "b", "\ud7ff", "\U0010ffff", "none"]:
                found = await store.range(prefix)
                assert found.revision == len(keys)
                assert [entry.key for entry in found.entries] == sorted(
                    (key for key in keys if key.startswith(prefix)), key=str.encode
                )
                assert all(entry.value == entry.key.encode() for entry in found.entries)

    asyncio.run(main())


async def a_little_history(store: Store) -> None:
    for number in range(3):
        await store.put("a/x", b"%d" % number, writer="w")
        await store.put("a/y", b"%d" % number, writer="w")
    await store.delete("a/x", writer="v")
    await store.put("b", b"", writer="w")
    await store.put("a/x", b"again", writer="w")


def test_a_range_can_be_read_as_of_every_revision(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open() as store:
            await a_little_history(store)
            model: dict[str, tuple[bytes, int, int]] = {}
            async with watching(store) as watch:
                await until("all are seen", lambda: watch.revision == 9)
            for change in watch.changes:
                if change.value is None:
                    del model[change.key]
                else:
                    created = model[change.key][2] if change.key in model else change.revision
                    model[change.key] = (change.value, change.revision, created)
                then = await store.range("a/", at=change.revision)
                assert then.revision == change.revision
                assert {e.key: (e.value, e.revision, e.created) for e in then.entries} == {
                    key: value for key, value in model.items() if key.startswith("a/")
                }
            assert (await store.range("", at=0)).entries == ()
            with pytest.raises(ValueError, match=r"^cannot"):
                await store.range("", at=10)

    asyncio.run(main())


def test_history_is_newest_first_and_goes_on_before_a_revision(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open() as store:
            await a_little_history(store)

            def shape(changes: list[Change]) -> list[tuple[int, bytes | None, str]]:
                return [(c.revision, c.value, c.writer) for c in changes]

            whole = [
                (9, b"again", "w"),
                (7, None, "v"),
                (5, b"2", "w"),
                (3, b"1", "w"),
                (1, b"0", "w"),
            ]
            assert shape(await store.history("a/x", limit=100)) == whole
            assert shape(await store.history("a/x", limit=2)) == whole[:2]
            assert shape(await store.history("a/x", limit=2, before=7)) == whole[2:4]
            assert shape(await store.history("a/x", limit=2, before=1)) == []
            assert {c.key for c in await store.history("a/x", limit=9)} == {"a/x"}

    asyncio.run(main())


def test_what_one_engine_has_written_another_reads(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open("a") as one, engine.open("b") as two:
            for number in range(20):
                writer, reader = (one, two) if number % 2 else (two, one)
                revision = await writer.put("k", b"%d" % number, writer="w")
                seen, entry = await reader.read("k")
                assert entry is not None
                assert (seen, entry.revision, entry.value) == (revision, revision, b"%d" % number)
            assert one.identity == two.identity

    asyncio.run(main())


def test_it_is_all_there_after_a_restart(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open() as store:
            await a_little_history(store)
            before, identity = await store.range(""), store.identity
        async with engine.open() as store:
            assert await store.range("") == before
            assert store.identity == identity
            assert len(await store.history("a/x", limit=100)) == 5

    asyncio.run(main())


def test_many_writes_at_once_each_have_their_own_revision(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open() as store:
            revisions = await asyncio.gather(
                *(store.put(f"k/{number % 7}", b"%d" % number, writer="w") for number in range(300))
            )
            assert sorted(revisions) == list(range(1, 301))
            outcomes = await asyncio.gather(
                *(store.put("once", b"", writer=f"{n}", expect=ABSENT) for n in range(50)),
                return_exceptions=True,
            )
            assert len([one for one in outcomes if isinstance(one, int)]) == 1
            assert len([one for one in outcomes if isinstance(one, ConflictError)]) == 49

    asyncio.run(main())


def test_a_full_store_refuses_to_grow_and_can_shrink(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open(size_bytes=1 << 20) as store:
            for number in range(3):
                await store.put(f"big/{number}", bytes(300_000), writer="w")
            with pytest.raises(StoreFullError, match=r"^cannot write big/3: .*store\.size"):
                await store.put("big/3", bytes(300_000), writer="w")
            # It is the writer's trouble, not the store's.
            assert store.health.writable
            await store.put("small", b"1", writer="w")
            await store.put("big/0", bytes(299_000), writer="w")
            await store.delete("big/1", writer="w")
            await store.put("big/3", bytes(300_000), writer="w")

    asyncio.run(main())


def test_what_history_forgets_is_told_and_what_it_keeps_can_be_read(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open(revisions=50) as store:
            await store.put("old", b"kept", writer="w")
            await store.put("gone", b"", writer="w")
            await store.delete("gone", writer="w")
            for number in range(300):
                await store.put(f"k/{number % 3}", b"%d" % number, writer="w")
            async with asyncio.timeout(10):
                while (compacted := await store.compacted()) < 200:
                    await store.put("k/0", b"x", writer="w")
            revision, old = await store.read("old")
            assert old is not None
            assert (old.value, old.revision, old.created) == (b"kept", 1, 1)
            assert revision - compacted >= 50
            for at in range(compacted, revision + 1):
                try:
                    then = await store.range("", at=at)
                except CompactedError:
                    continue  # it goes on forgetting while nobody writes
                assert {"old", "k/0", "k/1", "k/2"} == {entry.key for entry in then.entries}
            with pytest.raises(CompactedError) as caught:
                await store.range("", at=compacted - 1)
            assert caught.value.revision == compacted - 1
            assert compacted <= caught.value.compacted <= revision - 50
            assert str(caught.value).startswith("cannot ")
            assert await store.history("gone", limit=10) == []
            assert [c.value for c in await store.history("old", limit=10)] == [b"kept"]

    asyncio.run(main())
