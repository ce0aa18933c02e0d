"""Writes over a store in memory: compare-and-set, schemas that change meanwhile, and what is entered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from config_running import PRICE, Journal, running, until
from memory_store import MemoryStore
from pillion.config.preconditions import Outdated, Precondition
from pillion.config.writing import ALWAYS, Breaks
from pillion.errors import RefusedError
from pillion.store.interface import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from pillion.config.configuration import Configuration
    from pillion.config.writing import Writing


def play(
    tmp_path: Path, check: Callable[[Configuration, MemoryStore, Journal], Awaitable[None]]
) -> None:
    async def run() -> None:
        store, journal = MemoryStore(), Journal()
        async with running(store, tmp_path, journal) as config:
            await until(lambda: config.replica.fresh)
            await check(config, store, journal)

    asyncio.run(run())


async def put(writing: Writing, value: bytes, wanted: Precondition = ALWAYS) -> int:
    return (await writing.put("price", "service", value, "me", wanted)).revision


def test_a_write_is_read_at_once_and_entered_without_its_value(tmp_path: Path) -> None:
    async def check(config: Configuration, store: MemoryStore, journal: Journal) -> None:
        first = await config.writing.put("price", "service", b'"planted"', "me")
        assert (first.created, config.get("price")) == (True, "planted")
        second = await config.writing.put("price", "service", b"2", "me")
        assert not second.created
        deleted = await config.writing.delete("price", "service", "me")
        assert deleted is not None
        assert await config.writing.delete("price", "service", "me") is None
        assert [data["action"] for _, data in journal.entries] == ["put", "put", "delete"]
        assert "planted" not in str(journal.entries)

    play(tmp_path, check)


def test_the_store_compares_not_the_replica(tmp_path: Path) -> None:
    async def check(config: Configuration, store: MemoryStore, journal: Journal) -> None:
        revision = await put(config.writing, b"1")
        tag = Precondition(match=(b'"service:%d"' % revision,))
        store.before_put = lambda: store.shared.write(PRICE, b"9", "other", 1.0)
        with pytest.raises(Outdated) as caught:
            await put(config.writing, b"2", tag)
        assert caught.value.etag == b'"service:%d"' % (revision + 1)
        # A tag from another sidecar is newer than what we have heard of.
        newer = store.shared.write(PRICE, b"10", "other", 1.0)
        await put(config.writing, b"11", Precondition(match=(b'"service:%d"' % newer,)))
        with pytest.raises(Outdated):
            await put(config.writing, b"12", Precondition(none_match=(b"*",)))
        await put(config.writing, b"12", Precondition(match=(b"*",)))

    play(tmp_path, check)


def test_the_tag_of_a_weaker_layer_holds_while_nothing_hides_it(tmp_path: Path) -> None:
    async def check(config: Configuration, store: MemoryStore, journal: Journal) -> None:
        base = await config.writing.put("price", "default", b"1", "me")
        assert base.item is not None
        wanted = Precondition(match=(base.item.etag,))
        await put(config.writing, b"2", wanted)
        with pytest.raises(Outdated):
            await put(config.writing, b"3", wanted)
        with pytest.raises(Outdated):
            await config.writing.delete("price", "service", "me", wanted)

    play(tmp_path, check)


def test_many_who_compare_lose_no_update(tmp_path: Path) -> None:
    async def check(config: Configuration, store: MemoryStore, journal: Journal) -> None:
        await put(config.writing, b"0")

        async def add(times: int) -> None:
            while times:
                item = config.replica.tree.item("price", "service")
                assert item is not None
                value = b"%d" % (int(item.value) + 1)
                try:
                    await put(config.writing, value, Precondition(match=(item.etag,)))
                except Outdated:
                    await asyncio.sleep(0)
                    continue
                times -= 1

        await asyncio.gather(*(add(20) for _ in range(8)))
        assert config.get("price") == 160

    play(tmp_path, check)


def test_a_value_that_passed_an_old_schema_is_withdrawn(tmp_path: Path) -> None:
    async def check(config: Configuration, store: MemoryStore, journal: Journal) -> None:
        await put(config.writing, b"1")
        schema = b'{"type":"number"}'
        store.before_put = lambda: store.shared.write("schema/price", schema, "o", 1.0)
        with pytest.raises(Breaks):
            await put(config.writing, b'"x"')
        assert config.get("price") == 1
        assert config.writing.withdrawn == 1
        assert [data["action"] for _, data in journal.entries] == ["put", "put", "withdraw", "put"]
        history = await store.history(PRICE, limit=10)
        assert [change.value for change in history] == [b"1", b'"x"', b"1"]

    play(tmp_path, check)


def test_a_new_value_that_passed_an_old_schema_is_deleted_again(tmp_path: Path) -> None:
    async def check(config: Configuration, store: MemoryStore, journal: Journal) -> None:
        store.before_put = lambda: store.shared.write("schema/price", b"false", "o", 1.0)
        with pytest.raises(Breaks):
            await put(config.writing, b"1")
        assert config.get("price") is None
        assert PRICE not in store.shared.entries

    play(tmp_path, check)


def test_a_schema_that_a_value_broke_meanwhile_is_withdrawn(tmp_path: Path) -> None:
    async def check(config: Configuration, store: MemoryStore, journal: Journal) -> None:
        other = "config/service/other/price"
        store.before_put = lambda: store.shared.write(other, b'"x"', "o", 1.0)
        with pytest.raises(Breaks) as caught:
            await config.schema_writing.put("price", b'{"type":"number"}', "me")
        assert "service/other/price" in caught.value.problems[0]
        assert "schema/price" not in store.shared.entries
        made, created = await config.schema_writing.put(
            "price", b'{"type":"number"}', "me", force=True
        )
        assert created
        assert config.replica.schemas.get("price") is not None
        with pytest.raises(Outdated):
            await config.schema_writing.put(
                "price", b"true", "me", Precondition(match=(b'"schema:1"',))
            )
        assert await config.schema_writing.delete("price", "me", Precondition(match=(made.etag,)))
        assert await config.schema_writing.delete("price", "me") is None

    play(tmp_path, check)


def test_a_store_that_is_away_refuses_with_its_reason(tmp_path: Path) -> None:
    async def check(config: Configuration, store: MemoryStore, journal: Journal) -> None:
        await put(config.writing, b"1")
        store.set_health(readable=False)
        with pytest.raises(StoreUnavailableError, match="away"):
            await put(config.writing, b"2")
        assert config.get("price") == 1
        store.set_health(writable=False)
        with pytest.raises(StoreUnavailableError):
            await config.writing.delete("price", "service", "me")

    play(tmp_path, check)


def test_a_write_whose_client_left_is_entered_all_the_same(tmp_path: Path) -> None:
    async def check(config: Configuration, store: MemoryStore, journal: Journal) -> None:
        task = asyncio.create_task(put(config.writing, b"1"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: journal.entries)
        assert config.get("price") == 1

    play(tmp_path, check)


def test_what_the_store_finds_too_large_is_no_failure(tmp_path: Path) -> None:
    async def check(config: Configuration, store: MemoryStore, journal: Journal) -> None:
        def refuse() -> None:
            raise ValueError("a key of more than 1024 bytes")

        store.before_put = refuse
        with pytest.raises(RefusedError) as caught:
            await put(config.writing, b"1")
        assert caught.value.status == 413

    play(tmp_path, check)
