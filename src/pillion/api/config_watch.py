"""Configuration, watched: the long poll and the stream of server-sent events."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from pillion.api.config_answers import marks, revision_of
from pillion.api.streams import (
    COMMENT,
    COMMENT_S,
    event_block,
    event_stream_answer,
    too_many,
    until_closing,
)
from pillion.api.waiting import unless_closing, wait_s
from pillion.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pillion.api.context import Context
    from pillion.config.configuration import Configuration
    from pillion.config.ring import Event, Selection
    from pillion.http.server import Request, Response

MOST_WAIT_S = 300.0
MOST_WAITING = 1024
"""Long polls at once; each costs a connection and a few hundred bytes."""

_PIECE_BYTES = 64 << 10
_FOREIGN = -1


async def wait_for_change(
    context: Context,
    request: Request,
    config: Configuration,
    selection: Selection,
    since: int | None,
) -> None:
    """Wait as long as the request wants for a change after revision `since`."""
    within_s = wait_s(request, MOST_WAIT_S)
    if not within_s:
        return
    if config.waiting >= MOST_WAITING:
        raise RefusedError(
            503,
            "Service Unavailable",
            f"cannot wait: {MOST_WAITING} requests wait already; try again later",
        )
    config.waiting += 1
    try:
        await unless_closing(context, config.watching.poll(selection, since, within_s))
    finally:
        config.waiting -= 1


def stream(
    context: Context, request: Request, config: Configuration, selection: Selection
) -> Response:
    """The present state and what comes, or what came after the id that the client had last."""
    if (refusal := too_many(context)) is not None:
        return refusal
    told = config.watching.follow(selection, _last(request))
    blocks = _blocks(until_closing(told, context.closing, COMMENT_S))
    answer = event_stream_answer(context, blocks)
    answer.headers = [*answer.headers, *marks(config)]
    return answer


def _last(request: Request) -> int | None:
    """What the client has seen; None for nothing yet. What cannot be read is another's, and resets."""
    field = request.headers.get(b"last-event-id")
    if field is None or not field.strip():
        return revision_of(request)
    return int(field) if field.isdigit() and len(field) <= 18 else _FOREIGN


async def _blocks(told: AsyncGenerator[list[Event] | None, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(told):
        async for events in told:
            if events is None:
                yield COMMENT
                continue
            piece: list[bytes] = []
            size = 0
            for event in events:
                identity = "" if event.revision is None else str(event.revision)
                block = event_block(event.kind, event.data, identity)
                piece.append(block)
                size += len(block)
                if size >= _PIECE_BYTES:
                    yield b"".join(piece)
                    piece, size = [], 0
            if piece:
                yield b"".join(piece)
