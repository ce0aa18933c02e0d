"""Locks: a lease with a fencing token, taken, renewed, released, and looked at."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from pillion.api.access import UNIX
from pillion.api.answers import json_answer
from pillion.api.context import given
from pillion.api.problems import Problem, ProblemAnswer
from pillion.api.query import body, flag, text
from pillion.api.route import Role
from pillion.errors import RefusedError
from pillion.http.problem import CONTENT_TYPE, title_of
from pillion.locks.asking import DoubtError, HeldError, LeaseError, Wanted, boot_time_s
from pillion.locks.lives import belongs_to_app, life_of
from pillion.locks.record import LOCKS, NAME_PATTERN, is_name
from pillion.settings.units import parse_duration

if TYPE_CHECKING:
    from pillion.api.context import Context
    from pillion.http.server import Request, Response
    from pillion.locks.claims import Claim
    from pillion.locks.locks import Locks
    from pillion.locks.record import Bind, Holding, Life

TTL = "15s"
SHORTEST_TTL_S = 1.0
LONGEST_TTL_S = 3600.0
LONGEST_WAIT_S = 300.0

Holder = Annotated[str, msgspec.Meta(max_length=256)]
Duration = Annotated[str, msgspec.Meta(examples=["15s"], max_length=32)]


class LockRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`ttl` and `wait` are durations, `holder` says who it is for people, `bind` with what it ends besides its time.

    With `lease` it is a renewal, and nothing else is needed.
    """

    ttl: Duration | None = None
    wait: Duration = "0s"
    holder: Holder = ""
    bind: Literal["lease", "app", "process"] | None = None
    lease: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The lock is yours. `token` grows with every holder; `lease` is what renews and releases it."""

    name: str
    token: int
    lease: str
    holder: str
    bind: str
    expires_in_s: float


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lock: `since` is RFC 3339 in UTC and when it was asked for, `waiting` how many others want it."""

    name: str
    token: int
    holder: str
    instance: str
    bind: str
    since: str
    ttl_s: float
    waiting: int = 0


class LockList(msgspec.Struct, frozen=True):
    """The answer to `GET /v1/locks`."""

    items: list[Held]


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """What was released."""

    name: str
    released: bool = True


class LockProblem(Problem, frozen=True, omit_defaults=True, kw_only=True):
    """Why not: `held_by` has the lock, `expires_in_s` is how long your own lease is still safe."""

    held_by: Held | None = None
    expires_in_s: float | None = None


async def put_lock(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Take it, or renew it."""
    wanted = await body(request, LockRequest)
    subject = subject_of(LOCKS, values[0])
    locks = given(context.locks)
    try:
        if wanted.lease is not None:
            ttl_s = None if wanted.ttl is None else read_ttl_s(wanted.ttl)
            claim = await locks.renew(subject, wanted.lease, ttl_s, None)
            return json_answer(lease_of(claim))
        claim = await locks.acquire(asked(context, request, subject, wanted, locks))
        return json_answer(lease_of(claim), 201)
    except (HeldError, LeaseError, DoubtError) as error:
        return lock_problem(error)


async def delete_lock(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Release it; as the operator, take it from its holder."""
    return await release(context, request, LOCKS, values[0])


async def get_locks(context: Context, _request: Request, _values: tuple[str, ...]) -> Response:
    """Every lock that is held."""
    queues = await given(context.locks).queues(LOCKS)
    return json_answer(LockList([held(queue[0], len(queue) - 1) for queue in queues.values()]))


async def get_lock(context: Context, _request: Request, values: tuple[str, ...]) -> Response:
    """Who holds it."""
    subject = subject_of(LOCKS, values[0])
    queue = (await given(context.locks).queues(f"{subject}/")).get(subject)
    if not queue:
        raise _nobody(subject)
    return json_answer(held(queue[0], len(queue) - 1))


# What elections use as well.


async def release(context: Context, request: Request, prefix: str, name: str) -> Response:
    """Give up by `lease`, or with `force` as the operator."""
    subject = subject_of(prefix, name)
    locks = given(context.locks)
    lease = text(request, "lease")
    if flag(request, "force"):
        if context.role_of(request) < Role.OPERATOR:
            raise RefusedError(
                403,
                "Forbidden",
                "cannot use force as the app: it is for the operator; use your lease",
            )
        if await locks.force(subject) is None:
            raise _nobody(subject)
        return json_answer(Released(name=name))
    if lease is None:
        raise RefusedError(
            400, "Bad Request", "cannot release without ?lease=: give the lease that was answered"
        )
    try:
        await locks.release(subject, lease)
    except LeaseError as error:
        return lock_problem(error)
    return json_answer(Released(name=name))


def asked(
    context: Context,
    request: Request,
    subject: str,
    wanted: LockRequest,
    locks: Locks,
    value: bytes = b"null",
) -> Wanted:
    """What a request asks for; `RefusedError` 422 for what cannot be."""
    bind, life = _bound(context, request, wanted.bind, locks)
    pid = request.peer.pid
    wait_s = _duration_s("wait", wanted.wait, 0.0, LONGEST_WAIT_S)
    # Who has left would be given what nobody holds.
    request.waits = wait_s > 0
    return Wanted(
        subject=subject,
        ttl_s=read_ttl_s(wanted.ttl or TTL),
        wait_s=wait_s,
        holder=wanted.holder or (f"pid {pid}" if pid else "the app"),
        bind=bind,
        life=life,
        value=value,
    )


def subject_of(prefix: str, name: str) -> str:
    """The subject of a name; `RefusedError` 400 for none that can be."""
    if not is_name(name):
        raise RefusedError(
            400, "Bad Request", f"cannot use the name {name[:64]!r}: it has to match {NAME_PATTERN}"
        )
    return f"{prefix}{name}"


def lease_of(claim: Claim) -> Lease:
    """What the holder is told."""
    return Lease(
        name=claim.subject.partition("/")[2],
        token=claim.token,
        lease=claim.record.lease,
        holder=claim.record.holder,
        bind=claim.record.bind,
        expires_in_s=round(max(0.0, claim.until_s - boot_time_s()), 3),
    )


def held(holding: Holding, waiting: int = 0) -> Held:
    """What everybody may know."""
    record = holding.record
    return Held(
        name=holding.subject.partition("/")[2],
        token=holding.token,
        holder=record.holder,
        instance=record.instance,
        bind=record.bind,
        since=rfc3339_s(record.since_s),
        ttl_s=record.ttl_s,
        waiting=waiting,
    )


def rfc3339_s(seconds: float) -> str:
    """RFC 3339 in UTC, of seconds since the epoch."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def lock_problem(error: HeldError | LeaseError | DoubtError) -> Response:
    """The no of a lock as an answer."""
    fields = [(b"content-type", CONTENT_TYPE), (b"cache-control", b"no-store")]
    holding = None if isinstance(error, DoubtError) else error.holding
    if isinstance(error, DoubtError):
        status = 503
        fields.append((b"retry-after", b"1"))
    else:
        status = 404 if isinstance(error, LeaseError) and holding is None else 409
    problem = LockProblem(
        type="about:blank",
        title=title_of(status),
        status=status,
        detail=str(error),
        held_by=None if holding is None else held(holding),
        expires_in_s=round(error.safe_s, 3) if isinstance(error, DoubtError) else None,
    )
    return ProblemAnswer(problem, fields)


def read_ttl_s(value: str) -> float:
    """The time of a lease."""
    return _duration_s("ttl", value, SHORTEST_TTL_S, LONGEST_TTL_S)


def _duration_s(name: str, value: str, least_s: float, most_s: float) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise _unusable(f"cannot read {name} {value!r}: {error}; write 15s or 1m") from error
    if not least_s <= seconds <= most_s:
        raise _unusable(f"cannot use {name} {value!r}: from {least_s:g}s to {most_s:g}s")
    return seconds


def _bound(
    context: Context, request: Request, bind: Bind | None, locks: Locks
) -> tuple[Bind, Life | None]:
    """With what it ends: what the request says, else the app's process for who is the app."""
    pid = request.peer.pid if request.listener == UNIX else None
    if bind == "process":
        life = life_of(pid)
        if life is None:
            raise _unusable(
                "cannot bind to your process: only the Unix socket tells who it is; use PILLION_SOCKET"
            )
        return bind, life
    if bind is None:
        is_app = context.role_of(request) is Role.APP or belongs_to_app(pid, context.run)
        bind = "app" if is_app and locks.app is not None else "lease"
    if bind == "app":
        if locks.app is None:
            raise RefusedError(
                409, "Conflict", 'cannot bind to the app: it does not run; use "lease"'
            )
        return bind, locks.app
    return bind, None


def _nobody(subject: str) -> RefusedError:
    return RefusedError(404, "Not Held", f"cannot find who holds {subject}: nobody does")


def _unusable(detail: str) -> RefusedError:
    return RefusedError(422, "Unprocessable Content", detail)
