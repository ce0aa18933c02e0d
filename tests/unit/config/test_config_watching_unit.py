"""Long polls that never spin, and streams that are told what is due, over a store in memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from config_running import PRICE, SCOPES, running, until
from memory_store import MemoryStore
from pillion.config.ring import Selection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from pillion.config.configuration import Configuration

KEY = Selection(key="price")


def play(tmp_path: Path, check: Callable[[Configuration, MemoryStore], Awaitable[None]]) -> None:
    async def run() -> None:
        store = MemoryStore()
        async with running(store, tmp_path) as config:
            await until(lambda: config.replica.fresh)
            await check(config, store)

    asyncio.run(run())


def write(store: MemoryStore, value: bytes | None, layer: str = "service") -> int:
    return store.shared.write(SCOPES.store_key(layer, "price"), value, "w", 1.0)


async def waits(config: Configuration, selection: Selection, since: int) -> bool:
    """Whether a poll is still waiting after everything has had its turn."""
    task = asyncio.create_task(config.watching.poll(selection, since, 30.0))
    for _ in range(30):
        await asyncio.sleep(0)
    done = task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return not done


async def arrive(config: Configuration, revision: int) -> None:
    assert await config.replica.reach(revision, 5.0)


def test_who_knows_only_the_item_s_revision_does_not_spin(tmp_path: Path) -> None:
    async def check(config: Configuration, store: MemoryStore) -> None:
        base = write(store, b"1", "default")
        own = write(store, b"2")
        await arrive(config, own)
        assert await waits(config, KEY, own)
        assert not await waits(config, KEY, base)
        gone = write(store, None)  # the older item of the weaker layer shows again
        await arrive(config, gone)
        assert not await waits(config, KEY, own)
        assert await waits(config, KEY, base)
        assert await waits(config, KEY, gone)
        last = write(store, None, "default")
        await arrive(config, last)
        assert not await waits(config, KEY, base)
        assert await waits(config, KEY, last)

    play(tmp_path, check)


def test_other_keys_do_not_end_a_wait(tmp_path: Path) -> None:
    async def check(config: Configuration, store: MemoryStore) -> None:
        first = write(store, b"1")
        await arrive(config, first)
        task = asyncio.create_task(config.watching.poll(KEY, first, 30.0))
        for number in range(50):
            last = store.shared.write(SCOPES.store_key("service", "x"), b"%d" % number, "w", 1.0)
        await arrive(config, last)
        await asyncio.sleep(0)
        assert not task.done()
        await arrive(config, write(store, b"2"))
        await asyncio.wait_for(task, 5)
        assert await waits(config, Selection(prefix="y"), last)
        assert not await waits(config, Selection(prefix="pr"), last)

    play(tmp_path, check)


def test_a_revision_ahead_of_the_store_ends_at_once(tmp_path: Path) -> None:
    async def check(config: Configuration, store: MemoryStore) -> None:
        await arrive(config, write(store, b"1"))
        assert not await waits(config, KEY, 10**6)
        store.set_health(readable=False)
        assert not await waits(config, KEY, 10**6)

    play(tmp_path, check)


def test_a_poll_is_bounded_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async def check(config: Configuration, store: MemoryStore) -> None:
        await arrive(config, write(store, b"1"))
        await config.watching.poll(KEY, None, 0.01)
        await config.watching.poll(Selection(), None, 0.0)
        assert len(config.replica.feed) == 0

    play(tmp_path, check)


def test_a_poll_from_before_what_is_remembered_answers_once(tmp_path: Path) -> None:
    async def check(config: Configuration, store: MemoryStore) -> None:
        first = write(store, b"1")
        await arrive(config, first)
        revision = config.replica.tree.revision
        config.replica.feed.skip(revision + 100)
        assert not await waits(config, Selection(prefix="pr"), revision)
        assert await waits(config, KEY, first)

    play(tmp_path, check)


def test_a_foreign_place_resets(tmp_path: Path) -> None:
    async def check(config: Configuration, store: MemoryStore) -> None:
        await arrive(config, write(store, b"1"))
        for last in (-1, 10**6):
            source = config.watching.follow(KEY, last)
            events = await anext(source)
            assert [event.kind for event in events] == ["reset", "put", "current"]
            assert [event.revision for event in events] == [None, None, 1]
            await source.aclose()
        assert config.watching.resets == 2

    play(tmp_path, check)


def test_a_watcher_of_one_layer_sees_what_is_hidden(tmp_path: Path) -> None:
    async def check(config: Configuration, store: MemoryStore) -> None:
        await arrive(config, write(store, b"1"))
        source = config.watching.follow(Selection(key="price", layer="default"), None)
        assert [event.kind for event in await anext(source)] == ["current"]
        await arrive(config, write(store, b"2", "default"))
        (event,) = await anext(source)
        assert (event.kind, event.revision) == ("put", 2)
        assert b'"layer":"default"' in event.data
        await source.aclose()

    play(tmp_path, check)


def test_watchers_stay_while_the_store_is_away(tmp_path: Path) -> None:
    async def check(config: Configuration, store: MemoryStore) -> None:
        source = config.watching.follow(KEY, None)
        await anext(source)
        store.set_health(readable=False)
        following = asyncio.create_task(anext(source))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not following.done()
        store.shared.write(PRICE, b"5", "other", 1.0)
        store.set_health()
        (event,) = await asyncio.wait_for(following, 5)
        assert b'"value":5' in event.data
        await source.aclose()

    play(tmp_path, check)
