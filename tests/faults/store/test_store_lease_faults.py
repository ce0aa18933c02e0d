"""Leases when processes are stopped, replaced, or live where they cannot be asked for."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest

from pillion.store.interface import ABSENT, ConflictError
from store_host import until, watching

if TYPE_CHECKING:
    from store_host import SqliteHost


def test_a_process_that_was_stopped_gives_its_clients_time_to_renew(host: SqliteHost) -> None:
    async def main() -> None:
        async with host.open("a") as store:
            lease = await store.grant(0.4)
            await store.put("held", b"", writer="w", lease=lease)
            # What SIGSTOP and a paused container do to the loop: time passes, and nothing is done.
            threading.Event().wait(1.2)
            assert await store.keep_alive(lease)
            assert (await store.read("held"))[1] is not None
            await until("it ends when nobody renews", lambda: lease not in store._leases._watched)
            async with watching(store, after=1) as watch:
                await until("with its key", lambda: watch.keys == ["held"])

    asyncio.run(main())


def test_a_holder_that_is_stopped_keeps_what_it_holds_until_it_is_dead(host: SqliteHost) -> None:
    async def main() -> None:
        async with host.open("here") as store, watching(store) as watch:
            child = host.child("holder", "hold", "held", "0.3")
            assert child.stdout is not None
            assert int(await asyncio.to_thread(child.stdout.readline)) == 1
            child.send_signal(signal.SIGSTOP)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.8)
            # Its session lives: only its own engine may say that its time is over.
            assert (await store.read("held"))[1] is not None
            with pytest.raises(ConflictError) as caught:
                await store.put("held", b"", writer="w", expect=ABSENT)
            assert caught.value.current is not None
            child.kill()
            await until("then it is gone", lambda: watch.keys == ["held", "held"])
            assert (await store.read("held"))[1] is None

    asyncio.run(main())


def test_a_session_of_another_realm_is_not_judged_and_one_of_another_boot_is_dead(
    host: SqliteHost,
) -> None:
    async def main() -> None:
        async with host.open("a") as store:
            await store.put("other", b"", writer="w")
            await store.put("old", b"", writer="w")
            boot = store._sessions.realm.partition("/")[0]
            with contextlib.closing(sqlite3.connect(host.path)) as db, db:
                for lease, key, realm in (
                    ("l1", "other", f"{boot}/1:2"),
                    ("l2", "old", "another-boot/1:2"),
                ):
                    db.execute(
                        "INSERT INTO leases VALUES (?, 'x', 'r', ?, 60, 'e')", (lease, realm)
                    )
                    db.execute("UPDATE entries SET lease = ? WHERE key = ?", (lease, key))
            assert (await store.read("other"))[1] is not None
            assert (await store.read("old"))[1] is None
            # It can be written and deleted as ever.
            await store.put("other", b"2", writer="w")
            store._look()
            async with watching(store, after=3) as watch:
                await until("the old one is deleted", lambda: watch.keys == ["old"])

    asyncio.run(main())


def test_a_predecessor_that_retires_ends_nothing(host: SqliteHost) -> None:
    async def main() -> None:
        async with host.open("a") as old:
            lease = await old.grant(0.5)
            await old.put("held", b"", writer="w", lease=lease)
            async with host.open("a") as new, watching(new, after=1) as watch:
                assert await new.keep_alive(lease)
                old.retire()
                for _ in range(12):
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(asyncio.Event().wait(), 0.1)
                    assert await new.keep_alive(lease)
                assert watch.keys == []
                await until("the new one ends it", lambda: watch.keys == ["held"])

    asyncio.run(main())
