"""The disk is full, read-only, or does not answer: reads go on where they can, writes are refused clearly, and it is over by itself."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import pytest

from pillion.store.interface import StoreFullError, StoreReadOnlyError, StoreUnavailableError
from store_host import until, watching

if TYPE_CHECKING:
    from failing_disk import Disk
    from pillion.store.interface import Store
    from store_host import SqliteHost


async def fill_until_refused(store: Store) -> int:
    """Write until the disk refuses; returns how many writes were acknowledged."""
    done = 0
    while True:
        try:
            await store.put(f"k/{done}", os.urandom(60_000), writer="w")
        except StoreFullError as error:
            refusal = str(error)
            break
        done += 1
    assert re.match("cannot write .* disk is full; make room", refusal)
    return done


def is_there(path: str) -> bool:
    return os.path.exists(path)


def protect(path: str, how: str) -> None:
    subprocess.run(["chattr", how, path], check=True)


def test_a_full_disk(host: SqliteHost, disk: Disk) -> None:
    async def main() -> None:
        async with host.open("a") as store, host.open("b") as other, watching(other) as watch:
            await store.put("first", b"1", writer="w")
            ballast = disk.fill()
            done = await fill_until_refused(store)
            assert (store.health.readable, store.health.writable) == (True, False)
            assert "disk is full" in store.health.reason
            snapshot = await store.range("")
            assert len(snapshot.entries) == done + 1
            assert (await other.read("first"))[1] is not None
            os.unlink(ballast)
            await until("it can be written again by itself", lambda: store.health.writable)
            assert await store.put("after", b"1", writer="w") == snapshot.revision + 1
            await until("the watch goes on", lambda: "after" in watch.keys)
            assert watch.revisions == list(range(1, snapshot.revision + 2))
        async with host.open("a") as store:
            assert len((await store.range("")).entries) == done + 2

    asyncio.run(main())


def test_the_next_write_shows_that_there_is_room_again(host: SqliteHost, disk: Disk) -> None:
    async def main() -> None:
        async with host.open("a") as store:
            await store.put("first", b"1", writer="w")
            ballast = disk.fill()
            await fill_until_refused(store)
            os.unlink(ballast)
            await store.put("now", b"1", writer="w")
            assert store.health.writable

    asyncio.run(main())


def test_a_start_on_a_full_disk_reads_and_then_writes(host: SqliteHost, disk: Disk) -> None:
    async def main() -> None:
        async with host.open("a") as store:
            await store.put("first", b"1", writer="w")
        ballast = disk.fill()
        async with host.open("a") as store:
            assert (await store.read("first"))[1] is not None
            with pytest.raises(StoreUnavailableError, match=r"^cannot write"):
                await store.put("second", bytes(60_000), writer="w")
            assert not store.health.writable
            os.unlink(ballast)
            await until("it can be written again by itself", lambda: store.health.writable)
            await store.put("second", b"1", writer="w")

    asyncio.run(main())


def test_a_first_start_on_a_full_disk_leaves_nothing_half_made(
    host: SqliteHost, disk: Disk
) -> None:
    async def main() -> None:
        ballast = disk.fill()
        async with host.open("a") as store:
            with pytest.raises(StoreUnavailableError, match=r"disk is full"):
                await store.read("a")
            assert not is_there(host.path)
            os.unlink(ballast)
            await until("it is made when there is room", lambda: store.health.writable)
            assert await store.put("a", b"", writer="w") == 1
        assert [name for name in os.listdir(os.path.dirname(host.path)) if ".new" in name] == []

    asyncio.run(main())


def test_the_file_system_goes_read_only_under_it(host: SqliteHost, disk: Disk) -> None:
    async def main() -> None:
        async with host.open("a") as store:
            await store.put("first", b"1", writer="w")
            disk.remount("abort")  # what ext4 does to itself when its disk fails
            with pytest.raises(StoreReadOnlyError, match=r"^cannot write .*read-only"):
                await store.put("second", b"1", writer="w")
            assert (store.health.readable, store.health.writable) == (True, False)
            assert "read-only" in store.health.reason
            assert (await store.read("first"))[1] is not None
            assert len((await store.range("")).entries) == 1

    asyncio.run(main())


def test_a_start_on_a_read_only_file_system(host: SqliteHost, disk: Disk) -> None:
    async def main() -> None:
        async with host.open("a") as store:
            await store.put("first", b"1", writer="w")
        disk.remount("ro")
        async with host.open("a") as store:
            assert (await store.read("first"))[1] is not None
            with pytest.raises(StoreReadOnlyError, match=r"^cannot write .*read-only"):
                await store.put("second", b"1", writer="w")
            assert (store.health.readable, store.health.writable) == (True, False)
            disk.remount("rw")
            await until("it can be written again by itself", lambda: store.health.writable)
            assert await store.put("second", b"1", writer="w") == 2

    asyncio.run(main())


def test_a_file_that_must_not_be_written(host: SqliteHost, disk: Disk) -> None:
    async def main() -> None:
        async with host.open("a") as store:
            await store.put("first", b"1", writer="w")
        protect(host.path, "+i")
        try:
            async with host.open("a") as store:
                assert (await store.read("first"))[1] is not None
                with pytest.raises(StoreReadOnlyError, match=r"^cannot write"):
                    await store.put("second", b"1", writer="w")
                protect(host.path, "-i")
                await until("it can be written again by itself", lambda: store.health.writable)
        finally:
            protect(host.path, "-i")

    asyncio.run(main())


def test_a_disk_that_hangs_holds_nobody_but_who_asked(host: SqliteHost, disk: Disk) -> None:
    async def main() -> None:
        async with host.open("a") as store:
            await store.put("first", b"1", writer="w")
            loop = asyncio.get_running_loop()
            thaw = disk.freeze(2)
            writing = asyncio.create_task(store.put("second", b"1", writer="w"))
            longest = 0.0
            while not writing.done():
                before = loop.time()
                await asyncio.wait([writing], timeout=0.02)
                longest = max(longest, loop.time() - before)
            assert await asyncio.to_thread(thaw.wait, 10) == 0
            assert await writing == 2
            assert longest < 1.0
            assert store.health.writable

    asyncio.run(main())


def test_another_process_that_holds_the_store_is_named_as_the_reason(host: SqliteHost) -> None:
    async def main() -> None:
        async with host.open("a") as store:
            await store.put("first", b"1", writer="w")
            # What a process does that was stopped in the middle of a write.
            other = sqlite3.connect(host.path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            assert (await store.read("first"))[1] is not None
            with pytest.raises(StoreUnavailableError, match=r"^cannot use .*another process"):
                await store.put("second", b"1", writer="w")
            assert (store.health.readable, store.health.writable) == (True, False)
            other.execute("ROLLBACK")
            other.close()
            await until("it can be written again by itself", lambda: store.health.writable)

    asyncio.run(main())
