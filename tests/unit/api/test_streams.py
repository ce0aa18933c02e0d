"""Streams end when their source does, when the agent goes, and when the client leaves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pillion.api.streams import event_block, until_closing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


def test_a_source_is_passed_on_to_its_end() -> None:
    async def scenario() -> list[int | None]:
        async def source() -> AsyncGenerator[int, None]:
            yield 1
            yield 2

        return [one async for one in until_closing(source(), asyncio.Event())]

    assert asyncio.run(scenario()) == [1, 2]


def test_closing_ends_a_silent_source_and_closes_it() -> None:
    async def scenario() -> tuple[list[int | None], bool]:
        closing = asyncio.Event()
        closed = False

        async def source() -> AsyncGenerator[int, None]:
            nonlocal closed
            try:
                yield 1
                await asyncio.Event().wait()
            finally:
                closed = True

        seen: list[int | None] = []
        async for one in until_closing(source(), closing):
            seen.append(one)
            asyncio.get_running_loop().call_soon(closing.set)
        return seen, closed

    assert asyncio.run(scenario()) == ([1], True)


def test_silence_is_told() -> None:
    async def scenario() -> list[int | None]:
        closing = asyncio.Event()

        async def source() -> AsyncGenerator[int, None]:
            yield 1
            await asyncio.Event().wait()

        seen: list[int | None] = []
        async for one in until_closing(source(), closing, idle_s=0.001):
            seen.append(one)
            if seen.count(None) == 2:
                closing.set()
        return seen

    assert asyncio.run(scenario()) == [1, None, None]


def test_a_failing_source_fails_the_stream() -> None:
    async def scenario() -> None:
        async def source() -> AsyncGenerator[int, None]:
            yield 1
            raise OSError("the disk is gone")

        async for _ in until_closing(source(), asyncio.Event()):
            pass

    with pytest.raises(OSError, match="the disk is gone"):
        asyncio.run(scenario())


def test_an_event_block() -> None:
    assert event_block("exited", b"{}", "r:1") == b"id: r:1\nevent: exited\ndata: {}\n\n"
    assert event_block("put", b"{}") == b"event: put\ndata: {}\n\n"
