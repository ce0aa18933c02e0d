"""The file is removed, replaced, truncated, overwritten: it is noticed at once, said clearly, and over as soon as a good file is there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from pillion.store.interface import CompactedError, Health, StoreUnavailableError
from pillion.store.sqlite_schema import create_file
from store_host import until, watching

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.store.interface import Store
    from store_host import SqliteHost


async def fill(store: Store, count: int = 30) -> None:
    for number in range(count):
        await store.put(f"k/{number}", bytes(3000), writer="w")


async def refuses(store: Store, *words: str) -> None:
    """Whatever is asked is refused with the culprit and a remedy."""

    async def each(ask: Callable[[], object]) -> None:
        with pytest.raises(StoreUnavailableError) as caught:
            await ask()  # type: ignore[misc]
        assert str(caught.value).startswith("cannot ")
        for word in words:
            assert word in str(caught.value)

    await each(lambda: store.read("k/1"))
    await each(lambda: store.range(""))
    await each(lambda: store.put("k/1", b"", writer="w"))
    assert (store.health.readable, store.health.writable) == (False, False)
    assert all(word in store.health.reason for word in words)


def backup(path: str, to: str) -> None:
    source, target = sqlite3.connect(path), sqlite3.connect(to)
    with target:
        source.backup(target)
    target.execute("PRAGMA journal_mode = WAL")
    source.close()
    target.close()


def overwrite(path: str, offset: int, size: int) -> None:
    """Garbage in the middle of the same file."""
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(os.urandom(size))


def is_there(path: str) -> bool:
    return os.path.exists(path)


def take_away(path: str) -> None:
    for name in (path, f"{path}-wal", f"{path}-shm"):
        if os.path.exists(name):
            os.rename(name, f"{name}.away")


def bring_back(path: str) -> None:
    for name in (f"{path}-shm", f"{path}-wal", path):
        if os.path.exists(f"{name}.away"):
            os.rename(f"{name}.away", name)


def test_removed_and_put_back(host: SqliteHost) -> None:
    async def main() -> None:
        seen: list[Health] = []
        async with host.open("a") as store, host.open("b") as other, watching(other) as watch:
            store.on_health(seen.append)
            await fill(store)
            await until("all are seen", lambda: watch.revision == 30)
            take_away(host.path)
            await refuses(store, "no such file", "pillion store create")
            await refuses(other, "no such file")
            assert [one.readable for one in seen] == [False]
            bring_back(host.path)
            await until("it is back by itself", lambda: store.health.writable)
            await until("for the other as well", lambda: other.health.writable)
            assert seen[-1].reason == ""
            assert seen[0].since_s <= seen[-1].since_s
            assert len((await store.range("")).entries) == 30
            assert await store.put("after", b"1", writer="w") == 31
            await until("the watch goes on", lambda: "after" in watch.keys)
            assert watch.revisions == list(range(1, 32))

    asyncio.run(main())


def test_the_directory_is_gone(host: SqliteHost) -> None:
    async def main() -> None:
        async with host.open("a") as store:
            await fill(store)
            directory = os.path.dirname(host.path)
            os.rename(directory, f"{directory}.away")
            await refuses(store, "no such file")
            os.rename(f"{directory}.away", directory)
            await until("it is back by itself", lambda: store.health.writable)
            assert len((await store.range("")).entries) == 30

    asyncio.run(main())


@pytest.mark.parametrize("keep", [0, 1, 5000, 20_000])
def test_truncated(host: SqliteHost, keep: int) -> None:
    async def main() -> None:
        async with host.open("a") as store:
            await fill(store)
        good = f"{host.path}.good"
        async with host.open("a") as store:
            shutil.copy(host.path, good)
            os.truncate(host.path, keep)
            await refuses(store, "pillion store create")
            os.replace(good, host.path)
            await until("it is back by itself", lambda: store.health.writable)
            assert len((await store.range("")).entries) == 30
            await store.put("after", b"", writer="w")

    asyncio.run(main())


def test_overwritten_with_garbage_in_place(host: SqliteHost) -> None:
    async def main() -> None:
        async with host.open("a") as store:
            await fill(store)
        good = f"{host.path}.good"
        async with host.open("a") as store, watching(store) as watch:
            await until("all are seen", lambda: watch.revision == 30)
            shutil.copy(host.path, good)
            overwrite(host.path, 0, 64 << 10)
            await refuses(store, "no SQLite file")
            os.replace(good, host.path)
            await until("it is back by itself", lambda: store.health.writable)
            await store.put("after", b"", writer="w")
            await until("the watch goes on", lambda: "after" in watch.keys)
            assert watch.revisions == list(range(1, 32))

    asyncio.run(main())


def test_damaged_inside(host: SqliteHost) -> None:
    """The header is whole, and pages behind it are not: found when it is opened."""

    async def main() -> None:
        async with host.open("a") as store:
            await fill(store)
        overwrite(host.path, 4096 * 3, 4096 * 6)
        async with host.open("a") as store:
            await refuses(store, "damaged", "pillion store create")

    asyncio.run(main())


def test_something_else_is_there(host: SqliteHost) -> None:
    async def main() -> None:
        os.makedirs(os.path.dirname(host.path))
        other = sqlite3.connect(host.path)
        other.execute("CREATE TABLE mine (a)")
        other.close()
        async with host.open("a") as store:
            await refuses(store, "no store of Pillion")
        with contextlib.closing(sqlite3.connect(host.path)) as mine:
            assert mine.execute("SELECT name FROM sqlite_schema").fetchall() == [("mine",)]
        os.unlink(host.path)
        os.mkdir(host.path)
        async with host.open("a") as store:
            await refuses(store)

    asyncio.run(main())


def test_a_file_that_vanished_is_not_begun_anew_in_silence(host: SqliteHost) -> None:
    async def main() -> None:
        async with host.open("a", create=False) as store:
            await refuses(store, "no such file", "pillion store create")
            assert not is_there(host.path)
            assert create_file(host.path)
            await until("it is taken up", lambda: store.health.writable)
            assert await store.put("a", b"", writer="w") == 1

    asyncio.run(main())


def test_another_store_in_its_place_ends_every_watch(host: SqliteHost) -> None:
    async def main() -> None:
        async with host.open("a") as store, watching(store) as watch, watching(store) as early:
            await fill(store)
            identity = store.identity
            await until("all are seen", lambda: watch.revision == early.revision == 30)
            take_away(host.path)
            create_file(host.path)
            async with host.open("b") as other:
                await fill(other, 40)
                await until("it is noticed", lambda: store.identity != identity)
                await until("the watch ends", lambda: watch.error is not None)
                assert isinstance(watch.error, CompactedError)
                assert isinstance(early.error, CompactedError)
                async with watching(store) as anew:
                    await until("a new one goes on", lambda: anew.revision == 40)

    asyncio.run(main())


def test_an_older_copy_in_its_place_ends_every_watch(host: SqliteHost) -> None:
    async def main() -> None:
        old = f"{host.root}/old.db"
        async with host.open("a") as store, watching(store) as watch:
            await fill(store, 10)
            backup(host.path, old)
            await fill(store, 10)
            await until("all are seen", lambda: watch.revision == 20)
            take_away(host.path)
            os.rename(old, host.path)
            store._look()  # what the neighbours call when a bell may have been missed
            await until("it is noticed", lambda: watch.error is not None)
            assert isinstance(watch.error, CompactedError)
            assert (await store.range("")).revision == 10

    asyncio.run(main())


def test_another_past_in_its_place_ends_every_watch(host: SqliteHost) -> None:
    """By the time that it is noticed, revisions have gone on: the same numbers, another history."""

    async def main() -> None:
        old = f"{host.root}/old.db"
        async with host.open("a") as store, watching(store) as watch:
            await fill(store, 10)
            backup(host.path, old)
            await fill(store, 5)
            await until("all are seen", lambda: watch.revision == 15)
            take_away(host.path)
            os.rename(old, host.path)
            async with host.open("b") as other:
                await fill(other, 10)
                await until("the watch ends", lambda: watch.error is not None)
                assert isinstance(watch.error, CompactedError)

    asyncio.run(main())


def test_another_past_that_a_read_finds_first_ends_every_watch(host: SqliteHost) -> None:
    """The watch is not asked when it happens: the read that notices must end it all the same."""

    async def main() -> None:
        old = f"{host.root}/old.db"
        async with host.open("a") as store, watching(store) as watch:
            await fill(store, 10)
            backup(host.path, old)
            await fill(store, 5)
            await until("all are seen", lambda: watch.revision == 15)
            take_away(host.path)
            with contextlib.closing(sqlite3.connect(old)) as db, db:
                for revision in range(11, 30):
                    db.execute(
                        "INSERT INTO changes SELECT ?, 'other', ?, time_ns + 1, 'w', NULL, live_bytes, total_bytes, x'00' "
                        "FROM changes WHERE revision = 10",
                        (revision, revision),
                    )
            os.rename(old, host.path)
            assert (await store.range("")).revision == 29
            await until("the watch ends", lambda: watch.error is not None)
            assert isinstance(watch.error, CompactedError)
            assert watch.revisions == list(range(1, 16))

    asyncio.run(main())


def test_it_is_noticed_without_use_when_in_doubt(host: SqliteHost) -> None:
    async def main() -> None:
        async with host.open("a") as store, watching(store) as watch:
            await fill(store)
            await until("all are seen", lambda: watch.revision == 30)
            take_away(host.path)
            store._look()  # what the neighbours call when a bell may have been missed
            await until("it is noticed", lambda: not store.health.readable)

    asyncio.run(main())


def test_leases_go_on_over_an_absence(host: SqliteHost) -> None:
    async def main() -> None:
        async with host.open("a") as store:
            lease = await store.grant(60)
            short = await store.grant(0.3)
            await store.put("held", b"", writer="w", lease=lease)
            await store.put("short", b"", writer="w", lease=short)
            take_away(host.path)
            await refuses(store)
            assert await store.keep_alive(lease)
            await until("the short one is over", lambda: short not in store._leases._watched)
            assert not await store.keep_alive(short)
            bring_back(host.path)
            await until("it is back", lambda: store.health.writable)
            async with watching(store, after=2) as watch:
                await until("what ended is deleted", lambda: watch.keys == ["short"])
            assert await store.keep_alive(lease)

    asyncio.run(main())
