"""Leases: keys that end with their holder's time or life, exactly once, and are not shown a moment longer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pillion.store.interface import ABSENT, LeaseEndedError
from store_host import until, watching

if TYPE_CHECKING:
    from store_host import SqliteHost


def test_a_key_carries_its_lease_and_ends_with_it(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open("a") as store, engine.open("b") as other, watching(other) as watch:
            lease = await store.grant(60)
            first = await store.put("a", b"1", writer="w", lease=lease)
            await store.put("b", b"1", writer="w", lease=lease)
            await store.put("free", b"1", writer="w")
            _, entry = await other.read("a")
            assert entry is not None
            assert (entry.lease, entry.revision) == (lease, first)
            await store.revoke(lease)
            assert (await other.read("a"))[1] is None
            assert [entry.key for entry in (await other.range("")).entries] == ["free"]
            await until("seen", lambda: len(watch.revisions) >= 5)
            ended = [c for c in watch.changes if c.value is None]
            assert [(c.revision, c.key) for c in ended] == [(4, "a"), (5, "b")]
            assert not await store.keep_alive(lease)
            with pytest.raises(LeaseEndedError, match=r"^cannot"):
                await store.put("a", b"2", writer="w", lease=lease)
            await store.revoke(lease)
            assert (await store.range("")).revision == 5

    asyncio.run(main())


def test_a_key_written_anew_without_the_lease_outlives_it(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open() as store:
            one, two = await store.grant(60), await store.grant(60)
            await store.put("a", b"1", writer="w", lease=one)
            await store.put("a", b"2", writer="w")
            await store.put("b", b"1", writer="w", lease=one)
            await store.put("b", b"2", writer="w", lease=two)
            await store.revoke(one)
            assert [entry.key for entry in (await store.range("")).entries] == ["a", "b"]
            await store.revoke(two)
            assert [entry.key for entry in (await store.range("")).entries] == ["a"]

    asyncio.run(main())


def test_it_ends_when_it_is_not_renewed_and_not_before(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open("a") as store, engine.open("b") as other, watching(other) as watch:
            loop = asyncio.get_running_loop()
            kept, left = await store.grant(0.6), await store.grant(0.6)
            begun = loop.time()
            await store.put("kept", b"", writer="w", lease=kept)
            await store.put("left", b"", writer="w", lease=left)
            while (await other.read("left"))[1] is not None:
                assert loop.time() - begun < 10
                assert await store.keep_alive(kept)
                await asyncio.wait([asyncio.create_task(asyncio.sleep(0.05))])
            assert loop.time() - begun >= 0.6
            assert (await other.read("kept"))[1] is not None
            assert not await store.keep_alive(left)
            await until("its end is seen", lambda: len(watch.revisions) == 3)
            await until("the other ends too", lambda: len(watch.revisions) == 4)
            assert watch.keys == ["kept", "left", "left", "kept"]

    asyncio.run(main())


def test_to_renew_writes_nothing(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open() as store:
            lease = await store.grant(60)
            await store.put("a", b"", writer="w", lease=lease)
            for _ in range(50):
                assert await store.keep_alive(lease)
            assert (await store.range("")).revision == 1

    asyncio.run(main())


def test_it_ends_with_its_session_exactly_once_and_is_hidden_at_once(engine: SqliteHost) -> None:
    async def main() -> None:
        engine.mortal("dies")
        async with (
            engine.open("one") as one,
            engine.open("two") as two,
            engine.open("three") as three,
            watching(one) as watch,
        ):
            async with engine.open("dies") as dying:
                lease = await dying.grant(3600)
                await dying.put("held", b"1", writer="w", lease=lease)
                await dying.put("also", b"1", writer="w", lease=lease)
                await until("seen", lambda: len(watch.revisions) == 2)
            # Its engine is away, as when an agent is replaced; its session is not.
            _, entry = await two.read("held")
            assert entry is not None
            engine.kill("dies")
            for store in (one, two, three):
                assert (await store.read("held"))[1] is None
                assert (await store.range("")).entries == ()
            await until("its keys are deleted", lambda: len(watch.revisions) >= 4)
            await asyncio.wait([asyncio.create_task(asyncio.sleep(0.3))])
            assert watch.keys == ["held", "also", "also", "held"]
            assert (await three.range("")).revision == 4

    asyncio.run(main())


def test_what_a_dead_session_held_can_be_taken_at_once(engine: SqliteHost) -> None:
    async def main() -> None:
        engine.mortal("dies")
        async with engine.open("one") as one:
            async with engine.open("dies") as dying:
                lease = await dying.grant(3600)
                await dying.put("lock", b"1", writer="w", lease=lease)
                await dying.put("other", b"1", writer="w", lease=lease)
            engine.kill("dies")
            own = await one.grant(60)
            taken = await one.put("lock", b"2", writer="w", expect=ABSENT, lease=own)
            _, entry = await one.read("lock")
            assert entry is not None
            assert (entry.value, entry.created, entry.revision) == (b"2", taken, taken)
            assert await one.delete("other", writer="w") is None

    asyncio.run(main())


def test_what_died_while_nobody_looked_ends_at_the_next_start(engine: SqliteHost) -> None:
    async def main() -> None:
        engine.mortal("dies")
        async with engine.open("dies") as dying:
            lease = await dying.grant(3600)
            await dying.put("held", b"1", writer="w", lease=lease)
        engine.kill("dies")
        async with engine.open("one") as one, watching(one, after=1) as watch:
            assert (await one.read("held"))[1] is None
            await until("deleted", lambda: watch.keys == ["held"])

    asyncio.run(main())


def test_a_new_engine_of_the_session_takes_its_leases_over_with_a_fresh_time(
    engine: SqliteHost,
) -> None:
    async def main() -> None:
        async with engine.open("a") as first:
            long, short = await first.grant(60), await first.grant(0.5)
            await first.put("long", b"", writer="w", lease=long)
            await first.put("short", b"", writer="w", lease=short)
        async with engine.open("a") as second, watching(second, after=2) as watch:
            assert await second.keep_alive(long)
            assert await second.keep_alive(short)
            assert len((await second.range("")).entries) == 2
            await until("the short one ends", lambda: watch.keys == ["short"])
            assert await second.keep_alive(long)
            await second.revoke(long)
            await until("the long one is revoked", lambda: watch.keys == ["short", "long"])

    asyncio.run(main())


def test_a_lease_that_never_was_has_ended(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open() as store:
            assert not await store.keep_alive("none")
            await store.revoke("none")
            with pytest.raises(LeaseEndedError):
                await store.put("a", b"", writer="w", lease="none")
            with pytest.raises(ValueError, match=r"^cannot"):
                await store.grant(0)

    asyncio.run(main())
