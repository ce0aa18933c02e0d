"""`GET /v1/events`: the journal, read from the `events` stream of the spool, so that it outlives the agent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from pillion.api.answers import json_answer
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
from pillion.logs.query import Query, follow, query
from pillion.logs.stamp import rfc3339
from pillion.model.event import Event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pillion.api.context import Context
    from pillion.http.server import Request, Response
    from pillion.logs.records import Record

STREAM = "events"
LIMIT = 1000
MOST = 100_000

_decoder = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder()


class EventList(msgspec.Struct, frozen=True):
    """The answer to `GET /v1/events`, oldest first."""

    items: list[Event]


class Wanted(msgspec.Struct, frozen=True):
    """Which events: None is any."""

    kind: str | None = None
    component: str | None = None

    def matches(self, event: Event) -> bool:
        """Whether `event` is one of them."""
        if self.kind is not None and event.kind != self.kind:
            return False
        return self.component is None or event.component == self.component


def event_of(record: Record) -> Event | None:
    """The journal's entry in a record of the spool; a loss becomes an entry itself, what is no entry None."""
    if record.lost:
        return Event(
            time=rfc3339(record.time_ns),
            kind="output-lost",
            component="events",
            reason=record.body,
            data={"bytes": record.lost, "why": record.why},
        )
    try:
        return _decoder.decode(record.text)
    except msgspec.DecodeError:
        return None  # a torn line after a crash; the gap beside it has been told


async def get_events(context: Context, request: Request, _values: tuple[str, ...]) -> Response:
    """The last events that match, and with `follow` those to come."""
    wanted = Wanted(text(request, "kind"), text(request, "component"))
    limit = whole(request, "limit", LIMIT, 1, MOST)
    since_s = moment(request, "since")
    search = Query(
        streams=(STREAM,),
        run=text(request, "run"),
        since_ns=None if since_s is None else int(since_s * 1e9),
    )
    follows = flag(request, "follow")
    if follows and (refusal := too_many(context)) is not None:
        return refusal
    present = await asyncio.to_thread(present_events, context.state_dir, search, wanted, limit)
    if not follows:
        events = [event for _, event in present]
        if accepts(request, NDJSON):
            return ndjson_answer(context, _each(events))
        return json_answer(EventList(events))
    source = _live(context.state_dir, search, wanted, present)
    if accepts(request, EVENT_STREAM):
        return event_stream_answer(
            context, _blocks(until_closing(source, context.closing, COMMENT_S))
        )
    return ndjson_answer(context, _lines(until_closing(source, context.closing)))


def present_events(
    state_dir: str, search: Query, wanted: Wanted, limit: int
) -> list[tuple[Record, Event]]:
    """The last `limit` entries that match, oldest first, each with the record that holds it.

    Reads the spool and may wait for the disk. Raises `UsageError` for a run that is not there.
    """
    return list(deque(_matching(query(state_dir, search), wanted), maxlen=limit))


def _matching(records: Iterable[Record], wanted: Wanted) -> Iterable[tuple[Record, Event]]:
    for record in records:
        event = event_of(record)
        if event is not None and wanted.matches(event):
            yield record, event


async def _live(
    state_dir: str, search: Query, wanted: Wanted, present: list[tuple[Record, Event]]
) -> AsyncGenerator[tuple[Record, Event], None]:
    """What is present, then what comes: nothing twice, nothing between lost."""
    for pair in present:
        yield pair
    last = present[-1][0] if present else None
    if last is not None:
        search = msgspec.structs.replace(search, since_ns=last.time_ns)
    source = follow(state_dir, search)
    assert isinstance(source, AsyncGenerator)
    async with aclosing(source):
        async for record in source:
            if last is not None and (record.run, record.offset) <= (last.run, last.offset):
                continue
            event = event_of(record)
            if event is not None and wanted.matches(event):
                yield record, event


async def _each(events: list[Event]) -> AsyncGenerator[bytes, None]:
    for event in events:
        yield _encoder.encode(event)


async def _lines(
    pairs: AsyncGenerator[tuple[Record, Event] | None, None],
) -> AsyncGenerator[bytes, None]:
    async with aclosing(pairs):
        async for pair in pairs:
            if pair is not None:
                yield _encoder.encode(pair[1])


async def _blocks(
    pairs: AsyncGenerator[tuple[Record, Event] | None, None],
) -> AsyncGenerator[bytes, None]:
    async with aclosing(pairs):
        async for pair in pairs:
            if pair is None:
                yield COMMENT
            else:
                record, event = pair
                yield event_block(
                    event.kind, _encoder.encode(event), f"{record.run}:{record.offset}"
                )
