"""Registrations against the embedded engine: leases, several agents, a store that is lost, and what others put there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from pillion.base.tasks import RootTasks
from pillion.discovery import registrations as module
from pillion.discovery.instance import ServiceInstance, encode
from pillion.discovery.registrations import Registrations
from pillion.discovery.registry import Registry
from pillion.store.interface import StoreUnavailableError
from pillion.store.sqlite_schema import create_file
from store_host import SqliteHost, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

    from pillion.store.sqlite import SqliteStore

NOW, LATER = "2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z"
DB = ServiceInstance(id="db-1", service="db", address="10.0.0.7", port=5432)


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[SqliteHost]:
    with SqliteHost(str(tmp_path)) as host:
        yield host


def run(scenario: Coroutine[object, object, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await scenario

    asyncio.run(bounded())


class Agent:
    """What an agent has of it."""

    def __init__(self, store: SqliteStore, tasks: RootTasks, path: str | None = None) -> None:
        self.store = store
        self.registry = Registry(1)
        self.audit: list[str] = []
        self.registrations = Registrations(
            store,
            self.registry,
            tasks,
            audit=lambda kind, instance: self.audit.append(f"{kind} {instance.id}"),
            path=path,
        )

    def ids(self, service: str = "db") -> list[str]:
        return sorted(one.id for one in self.registry.instances(service))

    async def revision(self) -> int:
        return (await self.store.read("services/none"))[0]


@contextlib.asynccontextmanager
async def agent(
    sessions: SqliteHost, name: str = "a", path: str | None = None
) -> AsyncIterator[Agent]:
    ends: list[object] = []
    async with sessions.open(name) as store:
        tasks = RootTasks(ends.append)
        made = Agent(store, tasks, path)
        made.registrations.start()
        try:
            await made.registrations.loaded()
            yield made
        finally:
            await tasks.close(5.0)
            assert [str(end) for end in ends] == []


def test_what_is_put_is_there_when_the_call_returns(sessions: SqliteHost) -> None:
    async def scenario() -> None:
        async with agent(sessions) as a:
            put = await a.registrations.put(DB, "test", NOW)
            assert (put.created, put.written) == (True, True)
            assert a.ids() == ["db-1"]
            assert await a.registrations.delete("db", "db-1", "test")
            assert a.ids() == []
            assert not await a.registrations.delete("db", "db-1", "test")
            assert a.audit == ["registered db-1", "deregistered db-1"]

    run(scenario())


def test_the_same_again_writes_nothing(sessions: SqliteHost) -> None:
    async def scenario() -> None:
        async with agent(sessions) as a:
            for ttl_s in (None, 30.0):
                wanted = msgspec.structs.replace(DB, ttl_s=ttl_s)
                first = await a.registrations.put(wanted, "test", NOW)
                before = await a.revision()
                again = await a.registrations.put(wanted, "another", LATER)
                assert (again.created, again.written) == (False, False)
                assert again.instance == first.instance
                assert await a.revision() == before

    run(scenario())


def test_another_content_is_written(sessions: SqliteHost) -> None:
    async def scenario() -> None:
        async with agent(sessions) as a:
            await a.registrations.put(DB, "test", NOW)
            put = await a.registrations.put(
                msgspec.structs.replace(DB, status="critical"), "test", LATER
            )
            assert (put.created, put.written) == (False, True)
            (found,) = a.registry.instances("db")
            assert (found.status, found.since) == ("critical", LATER)

    run(scenario())


def test_a_lease_ends_unless_it_is_put_again(sessions: SqliteHost) -> None:
    async def scenario() -> None:
        async with agent(sessions) as a, agent(sessions, "b") as b:
            kept = msgspec.structs.replace(DB, id="kept", ttl_s=30.0)
            short = msgspec.structs.replace(DB, ttl_s=0.5)
            await a.registrations.put(kept, "test", NOW)
            await a.registrations.put(short, "test", NOW)
            await until("seen by the other", lambda: b.ids() == ["db-1", "kept"])
            for one in (a, b):
                await until("gone", lambda one=one: one.ids() == ["kept"])  # type: ignore[misc]
            # It is as if it had never been there.
            assert (await a.registrations.put(short, "test", NOW)).created

    run(scenario())


def test_most_leases_lost_at_once_are_kept_and_marked(sessions: SqliteHost) -> None:
    async def scenario() -> None:
        async with agent(sessions) as a:
            for n in range(3):
                short = msgspec.structs.replace(DB, id=f"db-{n}", ttl_s=0.3)
                await a.registrations.put(short, "test", NOW)
            await until("all have ended", lambda: a.registry.registrations == [])
            assert len(a.ids()) >= 2
            assert all(one.stale for one in a.registry.instances("db"))
            # Deregistering what is only kept has nothing to delete; putting it again makes it whole.
            await a.registrations.put(msgspec.structs.replace(DB, id="db-2"), "test", NOW)
            assert [one.id for one in a.registry.instances("db") if not one.stale] == ["db-2"]

    run(scenario())


def test_every_agent_sees_it_and_any_may_take_it_away(sessions: SqliteHost) -> None:
    async def scenario() -> None:
        async with agent(sessions, "a") as a, agent(sessions, "b") as b:
            for n in range(3):
                await a.registrations.put(msgspec.structs.replace(DB, id=f"db-{n}"), "test", NOW)
            await until("b sees them", lambda: len(b.ids()) == 3)
            for n in range(3):
                assert await b.registrations.delete("db", f"db-{n}", "test")
            await until("a sees it", lambda: a.ids() == [])
            assert not a.registry.is_stale("db")

    run(scenario())


def test_what_others_put_there_is_refused_and_counted(sessions: SqliteHost) -> None:
    async def scenario() -> None:
        async with agent(sessions) as a:
            for key, value in (
                ("services/db/garbage", b"\xff"),
                ("services/db/other", encode(DB)),
                ("services/short", b"{}"),
                (
                    "services/db/x",
                    encode(msgspec.structs.replace(DB, id="x", instance="x", run="r")),
                ),
            ):
                await a.store.put(key, value, writer="test")
            await a.registrations.put(DB, "test", NOW)
            assert a.ids() == ["db-1"]
            assert a.registrations.refused == 4
            # A client may put right what is under its own name.
            await a.registrations.put(msgspec.structs.replace(DB, id="garbage"), "test", NOW)
            assert a.ids() == ["db-1", "garbage"]
        async with agent(sessions, "b") as b:
            assert b.ids() == ["db-1", "garbage"]
            assert b.registrations.refused == 3

    run(scenario())


def test_a_lost_store_is_put_right_by_those_who_registered(
    sessions: SqliteHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PUT_AGAIN_S", 0.1)

    async def scenario() -> None:
        async with agent(sessions, "a") as a, agent(sessions, "b") as b:
            await a.registrations.put(DB, "test", NOW)
            await a.registrations.put(msgspec.structs.replace(DB, id="over"), "test", NOW)
            await a.registrations.delete("db", "over", "test")
            await b.registrations.put(
                msgspec.structs.replace(DB, id="leased", ttl_s=30.0), "test", NOW
            )
            await until("both", lambda: a.ids() == b.ids() == ["db-1", "leased"])
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(sessions.path + suffix)
            with pytest.raises(StoreUnavailableError):
                await a.registrations.put(msgspec.structs.replace(DB, id="new"), "test", NOW)
            with pytest.raises(StoreUnavailableError):
                await b.store.read("services/none")
            assert not a.store.health.readable
            assert a.ids() == ["db-1", "leased"]
            assert create_file(sessions.path)
            both = {"services/db/db-1", "services/db/leased"}

            async def keys() -> set[str]:
                with contextlib.suppress(StoreUnavailableError):
                    return {entry.key for entry in (await a.store.range("services/")).entries}
                return set()

            while await keys() != both:  # noqa: ASYNC110 # bounded by `run`
                await asyncio.sleep(0.02)
            await until("whole again", lambda: not a.registry.is_stale("db"))
            assert a.ids() == ["db-1", "leased"]
            assert a.registrations.put_again + b.registrations.put_again >= 2

    run(scenario())


def test_the_last_known_answers_while_the_store_is_away(
    sessions: SqliteHost, tmp_path: Path
) -> None:
    known = tmp_path / "registrations.json"

    async def keep() -> None:
        async with agent(sessions, path=str(known)) as a:
            assert not known.exists()
            await a.registrations.put(DB, "test", NOW)
            await a.registrations.put(msgspec.structs.replace(DB, id="gone"), "test", NOW)
            await until("kept", lambda: known.exists() and b'"gone"' in known.read_bytes())

    async def begin() -> None:
        os.rename(sessions.path, f"{sessions.path}.away")
        ends: list[object] = []
        async with sessions.open("a", create=False) as store:
            tasks = RootTasks(ends.append)
            a = Agent(store, tasks, path=str(known))
            a.registrations.start()
            await until("known", lambda: a.ids() == ["db-1", "gone"])
            assert a.registrations.as_of_s
            assert create_file(sessions.path)
            await store.read("services/none")
            await store.put("services/db/db-1", encode(DB), writer="test")
            await a.registrations.loaded()
            await until("the store's word", lambda: a.ids() == ["db-1"])
            assert not a.registrations.as_of_s
            await tasks.close(5.0)
        assert ends == []

    async def garbage() -> None:
        os.unlink(sessions.path)
        known.write_bytes(b"\xff")
        async with sessions.open("a", create=False) as store:
            ends: list[object] = []
            tasks = RootTasks(ends.append)
            a = Agent(store, tasks, path=str(known))
            a.registrations.start()
            with pytest.raises(StoreUnavailableError):
                await a.registrations.put(DB, "test", NOW)
            assert a.ids() == []
            await tasks.close(5.0)

    for step in (keep, begin, garbage):
        run(step())


def test_a_store_that_is_away_at_the_start(sessions: SqliteHost) -> None:
    async def scenario() -> None:
        os.makedirs(os.path.dirname(sessions.path))
        Path(sessions.path).write_bytes(random.Random(1).randbytes(8192))  # noqa: ASYNC240
        ends: list[object] = []
        async with sessions.open("a") as store:
            tasks = RootTasks(ends.append)
            a = Agent(store, tasks)
            a.registrations.start()
            with pytest.raises(StoreUnavailableError):
                await a.registrations.put(DB, "test", NOW)
            os.unlink(sessions.path)
            assert create_file(sessions.path)
            await a.registrations.loaded()
            await a.registrations.put(DB, "test", NOW)
            assert a.ids() == ["db-1"]
            await tasks.close(5.0)
        assert ends == []

    run(scenario())
