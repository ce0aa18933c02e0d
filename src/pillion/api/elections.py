"""Elections: who holds a lock leads, and tells a value to those who look for the leader."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pillion.api.answers import json_answer
from pillion.api.context import given
from pillion.api.locks import (
    Duration,
    Held,
    Holder,
    LockRequest,
    asked,
    held,
    lease_of,
    lock_problem,
    read_ttl_s,
    release,
    subject_of,
)
from pillion.api.query import accepts, body, whole
from pillion.api.route import EVENT_STREAM
from pillion.api.streams import (
    COMMENT,
    COMMENT_S,
    event_block,
    event_stream_answer,
    too_many,
    until_closing,
)
from pillion.api.waiting import wait_s
from pillion.errors import RefusedError
from pillion.locks.asking import DoubtError, HeldError, LeaseError
from pillion.locks.record import ELECTIONS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pillion.api.context import Context
    from pillion.http.server import Request, Response
    from pillion.locks.record import Holding

VALUE_BYTES = 4096
LONGEST_WAIT_S = 300.0
_MOST_TOKEN = 2**53
# For the store to say who leads at all.
_LOOK_S = 5.0

_encoder = msgspec.json.Encoder()


class CampaignRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As for a lock; `value` is any JSON of at most 4 KiB that the leader tells, its address for example."""

    value: object | UnsetType = UNSET
    ttl: Duration | None = None
    wait: Duration = "30s"
    holder: Holder = ""
    bind: Literal["lease", "app", "process"] | None = None
    lease: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class Leader(Held, frozen=True, kw_only=True):
    """Who leads, and the value that it tells."""

    value: msgspec.Raw


class Election(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an election: without a leader, `token` is 0."""

    name: str
    token: int
    leader: Leader | None


class ElectionList(msgspec.Struct, frozen=True):
    """The answer to `GET /v1/elections`."""

    items: list[Election]


async def put_election(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Campaign until you lead; with a lease, go on leading."""
    wanted = await body(request, CampaignRequest)
    subject = subject_of(ELECTIONS, values[0])
    locks = given(context.locks)
    value = None if wanted.value is UNSET else _value(wanted.value)
    try:
        if wanted.lease is not None:
            ttl_s = None if wanted.ttl is None else read_ttl_s(wanted.ttl)
            claim = await locks.renew(subject, wanted.lease, ttl_s, value)
            return json_answer(lease_of(claim))
        plain = LockRequest(
            ttl=wanted.ttl, wait=wanted.wait, holder=wanted.holder, bind=wanted.bind
        )
        claim = await locks.acquire(
            asked(context, request, subject, plain, locks, value or b"null")
        )
        return json_answer(lease_of(claim), 201)
    except (HeldError, LeaseError, DoubtError) as error:
        return lock_problem(error)


async def delete_election(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Resign; as the operator, depose."""
    return await release(context, request, ELECTIONS, values[0])


async def get_elections(context: Context, _request: Request, _values: tuple[str, ...]) -> Response:
    """Every election that has a leader."""
    queues = await given(context.locks).queues(ELECTIONS)
    items = [_election(subject, queue[0], len(queue) - 1) for subject, queue in queues.items()]
    return json_answer(ElectionList(items))


async def get_election(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Who leads now, once another does than the one with `token`, or live."""
    subject = subject_of(ELECTIONS, values[0])
    locks = given(context.locks)
    if accepts(request, EVENT_STREAM):
        if (refusal := too_many(context)) is not None:
            return refusal
        changes = locks.observers.observe(subject, None, _LOOK_S)
        blocks = _blocks(subject, until_closing(_each(changes), context.closing, COMMENT_S))
        return event_stream_answer(context, blocks)
    longest_s = wait_s(request, LONGEST_WAIT_S)
    token = whole(request, "token", 0, 0, _MOST_TOKEN)
    if longest_s is not None:
        news = until_closing(
            _each(locks.observers.observe(subject, token, _LOOK_S)), context.closing, longest_s
        )
        async with aclosing(news):
            found = await anext(news, None)
            if found is not None:
                return json_answer(_election(subject, found.holding))
    queue = (await locks.queues(f"{subject}/")).get(subject, [])
    return json_answer(_election(subject, queue[0] if queue else None, max(0, len(queue) - 1)))


def _value(value: object) -> bytes:
    """A leader's value as it stands in the store, in one line; `RefusedError` 422 for too much."""
    try:
        data = _encoder.encode(value)
    except RecursionError as error:
        raise RefusedError(
            422, "Unprocessable Content", "cannot tell this value: it is nested too deep"
        ) from error
    if len(data) > VALUE_BYTES:
        detail = f"cannot tell a value of {len(data)} bytes: {VALUE_BYTES} are the most"
        raise RefusedError(422, "Unprocessable Content", detail)
    return data


class _News:
    """A leader, or that there is none: told apart from silence."""

    __slots__ = ("holding",)

    def __init__(self, holding: Holding | None) -> None:
        self.holding = holding


async def _each(
    changes: AsyncGenerator[Holding | None, None],
) -> AsyncGenerator[_News, None]:
    async with aclosing(changes):
        async for holding in changes:
            yield _News(holding)


async def _blocks(
    subject: str, news: AsyncGenerator[_News | None, None]
) -> AsyncGenerator[bytes, None]:
    async with aclosing(news):
        async for one in news:
            if one is None:
                yield COMMENT
            else:
                election = _election(subject, one.holding)
                yield event_block("leader", _encoder.encode(election), str(election.token))


def _election(subject: str, holding: Holding | None, waiting: int = 0) -> Election:
    name = subject.partition("/")[2]
    if holding is None:
        return Election(name=name, token=0, leader=None)
    facts = msgspec.structs.asdict(held(holding, waiting))
    leader = Leader(**facts, value=holding.record.value)
    return Election(name=name, token=holding.token, leader=leader)
