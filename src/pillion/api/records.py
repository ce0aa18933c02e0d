"""`GET /v1/logs`: what the app wrote, as records, and live."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from pillion.api.answers import JSON_FIELDS
from pillion.api.query import accepts, flag, moment, text, whole
from pillion.api.route import EVENT_STREAM, NDJSON
from pillion.api.streams import (
    COMMENT,
    COMMENT_S,
    event_block,
    event_stream_answer,
    ndjson_answer,
    too_many,
    until_closing,
)
from pillion.errors import RefusedError
from pillion.http.server import Response
from pillion.logs.query import APP_STREAMS, Query, follow, matcher, query
from pillion.logs.severity import from_text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from pillion.api.context import Context
    from pillion.http.server import Request
    from pillion.logs.records import Record


class LostBytes(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in a loss: how many bytes, where the stream goes on, and why."""

    bytes: int
    to: int
    why: str


class RecordItem(msgspec.Struct, frozen=True, kw_only=True):
    """A record as `Record.to_json` writes it. `offset` is where it begins in its stream; times are RFC 3339 in UTC."""

    time: str
    arrived: str
    run: str
    stream: str
    offset: int
    level: str | None
    severity: int
    body: str
    text: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    cut: bool = False
    lost: LostBytes | None = None
    attributes: dict[str, object] = {}


class RecordList(msgspec.Struct, frozen=True):
    """The answer to `GET /v1/logs`."""

    items: list[RecordItem]


LIMIT = 1000
MOST = 100_000
STREAMS = (*APP_STREAMS, "sidecar", "requests", "spans")
# Read in a thread, so that a slow disk does not stop the loop; in steps, so that it takes its turns.
_STEP = 500


async def get_logs(context: Context, request: Request, _values: tuple[str, ...]) -> Response:
    """The last records that match, and with `follow` those to come."""
    wanted = wanted_records(request)
    matcher(wanted)  # a pattern that is none is refused before anything is sent
    if not flag(request, "follow"):
        records = query(context.state_dir, wanted)
        if accepts(request, NDJSON):
            return ndjson_answer(context, _in_steps(records))
        items = [record async for record in _in_steps(records)]
        return Response(200, JSON_FIELDS, b'{"items":[' + b",".join(items) + b"]}")
    if (refusal := too_many(context)) is not None:
        return refusal
    source = follow(context.state_dir, wanted)
    if accepts(request, EVENT_STREAM):
        blocks = _blocks(until_closing(source, context.closing, COMMENT_S))
        return event_stream_answer(context, blocks)
    return ndjson_answer(context, _lines(until_closing(source, context.closing)))


def wanted_records(request: Request) -> Query:
    """The query that the parameters ask for; `RefusedError` 400 for one that cannot be."""
    level = text(request, "level")
    severity = 0 if level is None else from_text(level)
    if level is not None and not severity:
        raise _bad(
            f"cannot use level={level[:32]!r}: write trace, debug, info, warn, error or fatal"
        )
    streams = tuple(request.query.get("stream", APP_STREAMS))
    if not set(streams) <= set(STREAMS):
        raise _bad(f"cannot read this stream: there are {', '.join(STREAMS)}")
    since_s = moment(request, "since")
    until_s = moment(request, "until")
    return Query(
        streams=streams,
        run=text(request, "run"),
        since_ns=None if since_s is None else int(since_s * 1e9),
        until_ns=None if until_s is None else int(until_s * 1e9),
        severity=severity,
        grep=text(request, "grep"),
        limit=whole(request, "limit", LIMIT, 1, MOST),
    )


async def _in_steps(records: Iterator[Record]) -> AsyncGenerator[bytes, None]:
    while step := await asyncio.to_thread(_step, records):
        for line in step:
            yield line


def _step(records: Iterator[Record]) -> list[bytes]:
    return [record.to_json() for record in islice(records, _STEP)]


async def _lines(records: AsyncGenerator[Record | None, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(records):
        async for record in records:
            if record is not None:
                yield record.to_json()


async def _blocks(records: AsyncGenerator[Record | None, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(records):
        async for record in records:
            if record is None:
                yield COMMENT
            else:
                identity = f"{record.run}:{record.stream}:{record.offset}"
                yield event_block("record", record.to_json(), identity)


def _bad(detail: str) -> RefusedError:
    return RefusedError(400, "Bad Request", detail)
