"""Answers that go on: NDJSON and server-sent events, bounded in number, ended by us when the agent retires."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

from pillion.api.problems import problem
from pillion.api.route import EVENT_STREAM, NDJSON
from pillion.http.server import Response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pillion.api.context import Context

T = TypeVar("T")

# Each follower costs a file watch and a few reads per write; a client that leaks them must not add up.
STREAMS = 64
# Proxies and clients drop what is silent; a comment every 15 s costs nothing (HTML, section 9.2.7).
COMMENT_S = 15.0
COMMENT = b": still here\n\n"


def too_many(context: Context) -> Response | None:
    """The refusal when as many streams are open as may be."""
    if context.streams < STREAMS:
        return None
    detail = f"cannot open another stream: {STREAMS} are open; close one and try again"
    return problem(503, detail, headers=[(b"retry-after", b"5")])


def stream_answer(context: Context, body: AsyncGenerator[bytes, None], media: str) -> Response:
    """An answer of `media` that is sent as `body` yields, and counted while it runs."""
    fields = [(b"content-type", media.encode()), (b"cache-control", b"no-store")]
    return Response(200, fields, _counted(context, body))


def ndjson_answer(context: Context, lines: AsyncGenerator[bytes, None]) -> Response:
    """One JSON object per line."""
    return stream_answer(context, _ended(lines), NDJSON)


def event_stream_answer(context: Context, blocks: AsyncGenerator[bytes, None]) -> Response:
    """Server-sent events; `blocks` are complete, with their empty line."""
    return stream_answer(context, blocks, EVENT_STREAM)


def event_block(kind: str, data: bytes, identity: str = "") -> bytes:
    """One server-sent event (HTML, section 9.2.6); `data` is one line."""
    head = f"id: {identity}\n" if identity else ""
    return f"{head}event: {kind}\ndata: ".encode() + data + b"\n\n"


async def until_closing(
    source: AsyncIterator[T], closing: asyncio.Event, idle_s: float | None = None
) -> AsyncGenerator[T | None, None]:
    """Yield what `source` yields until `closing` is set; None after every `idle_s` seconds of silence."""
    stop = asyncio.ensure_future(closing.wait())
    following: asyncio.Task[T] | None = None
    try:
        while not closing.is_set():
            if following is None:
                following = asyncio.create_task(_next(source), name="stream: next")
            await asyncio.wait(
                {following, stop}, timeout=idle_s, return_when=asyncio.FIRST_COMPLETED
            )
            if following.done():
                done, following = following, None
                if isinstance(done.exception(), _End):
                    return
                yield done.result()
            elif not closing.is_set():
                yield None
    finally:
        stop.cancel()
        if following is not None:
            following.cancel()
            # Its end, whatever it is, belongs to a client that has left.
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await following
        if isinstance(source, AsyncGenerator):
            await source.aclose()


async def _next(source: AsyncIterator[T]) -> T:
    try:
        return await anext(source)
    except StopAsyncIteration as end:
        raise _End from end


class _End(Exception):
    """The source has ended."""


async def _ended(lines: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(lines):
        async for line in lines:
            yield line + b"\n"


async def _counted(
    context: Context, body: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    context.streams += 1
    try:
        # Closed from the outside in, at once: a client that has left keeps no file open until the collector comes.
        async with aclosing(body):
            async for piece in body:
                yield piece
    finally:
        context.streams -= 1
