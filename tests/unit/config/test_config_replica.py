"""The replica over a store in memory: what it knows, for how long that is certain, and what it keeps."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING

from config_running import PRICE, SCOPES, running, until
from memory_store import Engine, MemoryStore
from pillion.config.known import has_values, path_of, read_known
from pillion.config.ring import Selection

if TYPE_CHECKING:
    from pathlib import Path


def test_it_follows_the_store_and_says_what_changed(tmp_path: Path) -> None:
    async def check() -> None:
        engine = Engine()
        engine.write(PRICE, b"1", "w", 1.0)
        async with running(MemoryStore(engine), tmp_path) as config:
            changed: list[frozenset[str]] = []
            config.on_change(changed.append)
            await config.replica.tried.wait()
            assert config.get("price") == 1
            assert config.replica.fresh
            engine.write(PRICE, b"2", "w", 1.0)
            engine.write("config/service/other/price", b"9", "w", 1.0)
            await until(lambda: config.replica.tree.revision == 3)
            assert config.get("price") == 2
            assert config.items("pr") == {"price": 2}
            assert changed == [frozenset(), frozenset({"price"})]
            assert config.stats()["config_revision"] == 3

    asyncio.run(check())


def test_a_read_only_store_is_marked_until_it_takes_writes_again(tmp_path: Path) -> None:
    async def check() -> None:
        store = MemoryStore()
        async with running(store, tmp_path) as config:
            await until(lambda: config.replica.fresh)
            assert config.replica.stale_s() is None
            store.set_health(writable=False)
            assert config.replica.stale_s() == 0
            store.set_health()
            await until(lambda: config.replica.fresh)
            store.set_health(readable=False)
            assert not config.replica.fresh
            store.shared.write(PRICE, b"7", "w", 1.0)
            store.set_health()
            await until(lambda: config.replica.fresh)
            assert (
                config.get("price") == 7
            )  # never unmarked before it had what was written meanwhile

    asyncio.run(check())


def test_it_is_not_current_before_it_has_all_though_the_store_is_back(tmp_path: Path) -> None:
    async def check() -> None:
        store = MemoryStore()
        async with running(store, tmp_path) as config:
            await until(lambda: config.replica.fresh)
            seen: list[object] = []
            for number in range(20):
                store.set_health(readable=False)
                store.shared.write(PRICE, b"%d" % number, "w", 1.0)
                if number % 3 == 0:
                    store.shared.forget()
                store.set_health()
                while not config.replica.fresh:  # noqa: ASYNC110 - turn by turn
                    await asyncio.sleep(0)
                seen.append(config.get("price"))
            assert seen == list(range(20))

    asyncio.run(check())


def test_another_store_is_another_epoch(tmp_path: Path) -> None:
    async def check() -> None:
        engine = Engine()
        for number in range(5):
            engine.write(PRICE, b"%d" % number, "w", 1.0)
        async with running(MemoryStore(engine), tmp_path) as config:
            await until(lambda: config.replica.fresh)
            epoch = config.replica.feed.ring.epoch
            engine.replace()
            for number in range(9):  # it has come further than the first one had
                engine.write(PRICE, b"%d" % -number, "w", 1.0)
            await until(lambda: config.get("price") == -8)
            assert config.replica.feed.ring.epoch > epoch

    asyncio.run(check())


def test_what_was_kept_is_there_at_once_and_marked(tmp_path: Path) -> None:
    async def check() -> None:
        engine = Engine()
        engine.write(PRICE, b"12.50", "w", 1.0)
        engine.write("schema/price", b'{"type":"number"}', "w", 1.0)
        async with running(MemoryStore(engine), tmp_path) as config:
            await until(lambda: config.stats()["config_kept_total"] == 1)
        assert has_values(str(tmp_path), "memory")
        assert not has_values(str(tmp_path), "another")
        os.utime(path_of(str(tmp_path)), (1, os.stat(path_of(str(tmp_path))).st_mtime - 60))
        away = MemoryStore(engine)
        away.set_health(readable=False)
        async with running(away, tmp_path) as config:
            replica = config.replica
            assert config.get("price") == 12.5
            assert replica.tree.effective["price"].value == b"12.50"
            assert replica.tree.revision == 2
            assert [schema.name for schema in replica.schemas.items()] == ["price"]
            stale_s = replica.stale_s()
            assert stale_s is not None
            assert 59 <= stale_s <= 120
            away.set_health()
            await until(lambda: replica.fresh)

    asyncio.run(check())


def test_nothing_is_written_while_nothing_changes(tmp_path: Path) -> None:
    async def check() -> None:
        engine = Engine()
        engine.write(PRICE, b"1", "w", 1.0)
        async with running(MemoryStore(engine), tmp_path) as config:
            await until(lambda: config.stats()["config_kept_total"] == 1)
        async with running(MemoryStore(engine), tmp_path) as config:
            await until(lambda: config.replica.fresh)
            engine.write("locks/x", b"1", "w", 1.0)
            engine.write("config/service/other/x", b"1", "w", 1.0)
            await until(lambda: config.replica.tree.revision == 3)
            await asyncio.sleep(0.01)
            assert config.stats()["config_kept_total"] == 0

    asyncio.run(check())


def test_a_disk_that_takes_nothing_costs_only_the_kept_copy(tmp_path: Path) -> None:
    async def check() -> None:
        engine = Engine()
        engine.write(PRICE, b"1", "w", 1.0)
        async with running(MemoryStore(engine), tmp_path / "absent") as config:
            await until(lambda: config.stats()["config_keep_failures_total"] == 1)
            assert config.get("price") == 1

    asyncio.run(check())


def test_garbage_on_disk_is_no_last_known_good(tmp_path: Path) -> None:
    path = str(tmp_path / "config.json")
    assert read_known(path, "memory", 0.0) is None
    for garbage in (
        b"",
        b"[]",
        b'{"v":1}',
        b'{"v":2,"source":"","store":"","revision":1,"entries":[]}',
    ):
        with open(path, "wb") as file:
            file.write(garbage)
        assert read_known(path, "memory", 0.0) is None


def test_a_value_of_the_store_that_is_no_json_harms_nothing_else(tmp_path: Path) -> None:
    async def check() -> None:
        engine = Engine()
        engine.write(PRICE, b"\xff", "w", 1.0)
        engine.write("schema/x", b"\xff", "w", 1.0)
        engine.write(SCOPES.store_key("service", "ok"), b"1", "w", 1.0)
        async with running(MemoryStore(engine), tmp_path) as config:
            await until(lambda: config.stats()["config_kept_total"] == 1)
            assert config.get("price") is None
            assert config.items("") == {"ok": 1}
            assert config.stats()["config_omitted"] == 1

    asyncio.run(check())
    with open(tmp_path / "config.json", "rb") as file:
        assert len(json.load(file)["entries"]) == 1


def test_agreeing_waits_for_what_is_on_its_way(tmp_path: Path) -> None:
    async def check() -> None:
        engine = Engine()
        async with running(MemoryStore(engine), tmp_path) as config:
            await until(lambda: config.replica.fresh)
            engine.write(PRICE, b"1", "w", 1.0)
            assert await config.replica.agrees(Selection(key="price"))
            assert config.get("price") == 1
            engine.write(PRICE, None, "w", 1.0)
            assert await config.replica.agrees(Selection())
            assert config.get("price") is None

    asyncio.run(check())
