"""Waking readers: growth ends a wait at once, told or looked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pillion.logs.waker import Waker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


def play(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await scenario()

    asyncio.run(bounded())


def test_growth_in_a_watched_directory_ends_the_wait(tmp_path: Path) -> None:
    async def scenario() -> None:
        with Waker() as waker:
            assert not waker.polls
            waker.watch(str(tmp_path))
            waiting = asyncio.create_task(waker.wait(waker.generation, 60))
            await asyncio.sleep(0)
            (tmp_path / "new").write_bytes(b"1")
            assert await waiting

    play(scenario)


def test_growth_before_the_wait_ends_it_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        with Waker() as waker:
            waker.watch(str(tmp_path))
            generation = waker.generation
            (tmp_path / "new").write_bytes(b"1")
            assert await waker.wait(generation, 60)
            # Noted again, and nothing since but what was reported already.
            assert not await waker.wait(waker.generation, 0.1)

    play(scenario)


def test_without_inotify_waits_grow_from_fast_to_a_second(tmp_path: Path) -> None:
    async def scenario() -> None:
        with Waker(use_inotify=False) as waker:
            assert waker.polls
            waker.watch(str(tmp_path))
            intervals = []
            for _ in range(3):
                intervals.append(waker.poll_s)
                assert not await waker.wait(waker.generation, 0.001)
            assert intervals == [0.05, 0.1, 0.2]
            waker.grew()
            assert waker.poll_s == 0.05

    play(scenario)


def test_a_wake_ends_every_wait() -> None:
    async def scenario() -> None:
        with Waker() as waker:
            waiting = [asyncio.create_task(waker.wait(waker.generation, 60)) for _ in range(3)]
            await asyncio.sleep(0)
            waker.wake()
            assert await asyncio.gather(*waiting) == [True] * 3

    play(scenario)
