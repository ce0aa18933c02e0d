"""Trouble that lasts is told once: an attempt that fails again is no news."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pillion.store.interface import Health, StoreReadOnlyError
from store_host import until

if TYPE_CHECKING:
    from failing_disk import Disk
    from store_host import SqliteHost


def test_a_read_only_store_says_so_once(host: SqliteHost, disk: Disk) -> None:
    async def main() -> None:
        async with host.open("a") as store:
            await store.put("first", b"1", writer="w")
        disk.remount("ro")
        async with host.open("a") as store:
            for _ in range(3):
                with pytest.raises(StoreReadOnlyError):
                    await store.put("second", b"1", writer="w")
            said: list[Health] = []
            store.on_health(said.append)
            attempts = store._recovery._attempts
            await until("it was tried again", lambda: store._recovery._attempts >= attempts + 3)
            assert said == []
            assert (store.health.readable, store.health.writable) == (True, False)
            assert store.health.reason.startswith("cannot write")

    asyncio.run(main())


def test_a_missing_store_says_so_once(host: SqliteHost) -> None:
    async def main() -> None:
        async with host.open("a", create=False) as store:
            said: list[Health] = []
            store.on_health(said.append)
            attempts = store._recovery._attempts
            await until("it was tried again", lambda: store._recovery._attempts >= attempts + 3)
            assert said == []
            assert not store.health.readable

    asyncio.run(main())
