"""Services and their instances: who can be reached where, now and from now on, and registering by hand what has no sidecar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.api.answers import JSON_FIELDS, json_answer
from pillion.api.context import given
from pillion.api.query import accepts, body, text
from pillion.api.route import EVENT_STREAM
from pillion.api.services_stream import service_stream, services_stream
from pillion.api.services_view import (
    ServiceAnswer,
    ServiceList,
    instance_json,
    service_answer,
    service_list,
)
from pillion.api.streams import event_stream_answer, too_many
from pillion.api.waiting import unless_closing, wait_s
from pillion.discovery.instance import (
    Address,
    MetaData,
    Port,
    ServiceInstance,
    Status,
    Tags,
    Weight,
    Zone,
    complaint_of,
    is_name,
)
from pillion.discovery.selection import Selection, statuses_of
from pillion.errors import RefusedError
from pillion.http.server import Response
from pillion.logs.stamp import rfc3339
from pillion.settings.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

    from pillion.api.context import Context
    from pillion.discovery.services import Services
    from pillion.http.server import Request

MOST_WAIT_S = 300.0
MOST_WAITING = 1024
"""Long polls at once; each costs a connection and a few hundred bytes."""

TTL_S = (1.0, 86_400.0)

_REVISION_DIGITS = 16
_STALE = b"pillion-stale"


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of a registration. `ttl` (`30s`) makes it end unless it is put again within that time."""

    address: Address
    port: Port = 0
    status: Status = "passing"
    weight: Weight = 1
    tags: Tags = ()
    zone: Zone = ""
    meta: MetaData = {}
    ttl: str | None = None


async def get_services(context: Context, request: Request, _values: tuple[str, ...]) -> Response:
    """Every service with its counts; with `wait` or as a stream their changes."""
    services = given(context.services)
    if accepts(request, EVENT_STREAM):
        return _stream(context, services, services_stream(context, services, _resumed(request)))
    await _wait(context, request, services, "")
    answer: ServiceList = service_list(services.registry)
    return _marked(json_answer(answer), services)


async def get_service(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """The instances of one service; one that nobody knows has none, so that clients can wait for it."""
    services = given(context.services)
    (name,) = values
    _check_name("service", name, _unreadable)
    selection = _selection(request)
    if accepts(request, EVENT_STREAM):
        blocks = service_stream(context, services, name, selection, _resumed(request))
        return _stream(context, services, blocks)
    await _wait(context, request, services, name)
    answer: ServiceAnswer = service_answer(services.registry, name, selection, services.zone)
    return _marked(json_answer(answer), services)


async def put_instance(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Register an instance, or renew it."""
    services = given(context.services)
    name, key = values
    _check_name("service", name, _unusable)
    _check_name("instance", key, _unusable)
    wanted = await body(request, Registration)
    instance = ServiceInstance(
        id=key,
        service=name,
        address=wanted.address,
        port=wanted.port,
        status=wanted.status,
        weight=wanted.weight,
        tags=wanted.tags,
        zone=wanted.zone,
        meta=wanted.meta,
        ttl_s=None if wanted.ttl is None else _ttl_s(wanted.ttl),
    )
    if complaint := complaint_of(instance):
        raise _unusable(f"cannot register {key}: {complaint}")
    now = rfc3339(int(services.time_s() * 1e9))
    put = await services.registrations.put(instance, _writer(context, request), now)
    return Response(201 if put.created else 200, JSON_FIELDS, instance_json(put.instance))


async def delete_instance(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Take a registration away."""
    services = given(context.services)
    name, key = values
    if is_name(name) and is_name(key):
        if await services.registrations.delete(name, key, _writer(context, request)):
            return Response(204)
        announced = services.registry.announced_by(key)
        if announced is not None and announced.service == name:
            raise RefusedError(
                409,
                "Announced",
                f"cannot deregister {key}: its sidecar announces it; stop it, or set service.register = false",
            )
    raise RefusedError(404, "Not Found", f"cannot find a registration {key[:128]} of {name[:128]}")


def _selection(request: Request) -> Selection:
    status = text(request, "status")
    try:
        statuses = statuses_of(status)
    except ValueError as error:
        raise _unreadable(f"cannot read status={(status or '')[:64]!r}: {error}") from error
    tags = frozenset(request.query.get("tag", ()))
    return Selection(tags, text(request, "zone"), statuses)


async def _wait(context: Context, request: Request, services: Services, name: str) -> None:
    """Wait as long as the request wants for a change after the revision that it knows."""
    within_s = wait_s(request, MOST_WAIT_S)
    revision = _revision(request)
    if not within_s:
        return
    if len(services.feed) >= MOST_WAITING:
        raise RefusedError(
            503,
            "Service Unavailable",
            f"cannot wait: {MOST_WAITING} requests wait already; try again later",
        )
    known = services.registry.revision if revision is None else revision
    waiting: Coroutine[object, object, None] = services.feed.within(within_s, known, name)
    await unless_closing(context, waiting)


def _revision(request: Request) -> int | None:
    value = text(request, "revision")
    if value is None:
        return None
    if not (value.isascii() and value.isdigit()):
        raise _unreadable(f"cannot read revision={value[:64]!r}: write that of an answer")
    # One that is longer than any of ours is foreign, like every other that we have not given out.
    return int(value) if len(value) <= _REVISION_DIGITS else 1 << 60


def _resumed(request: Request) -> int | None:
    """From which revision a stream goes on; None for one that begins. What cannot be read is foreign."""
    field = request.headers.get(b"last-event-id")
    if field is None:
        return _revision(request)
    identity = field.decode("latin-1").strip()
    readable = identity.isascii() and identity.isdigit() and len(identity) <= _REVISION_DIGITS
    return int(identity) if readable else -1


def _stream(context: Context, services: Services, blocks: AsyncGenerator[bytes, None]) -> Response:
    refusal = too_many(context)
    if refusal is not None:
        return refusal
    return _marked(event_stream_answer(context, blocks), services)


def _marked(answer: Response, services: Services) -> Response:
    """With the header that says for how long registrations may have changed unseen."""
    stale_s = services.stale_s
    if stale_s is not None:
        answer.headers = [*answer.headers, (_STALE, b"%d" % stale_s)]
    return answer


def _ttl_s(value: str) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise _unusable(f"cannot read ttl {value[:64]!r}: {error}; write 30s") from error
    low, high = TTL_S
    if not low <= seconds <= high:
        raise _unusable(f"cannot take the ttl {value[:64]}: from {low:g}s to {high:g}s")
    return seconds


def _check_name(what: str, name: str, refusal: Callable[[str], RefusedError]) -> None:
    if not is_name(name):
        raise refusal(
            f"cannot use {name[:64]!r} as the name of a {what}: write letters, digits, dots, hyphens and "
            "underscores, at most 128"
        )


def _writer(context: Context, request: Request) -> str:
    instance = context.control.place.instance
    uid = request.peer.uid
    return instance if uid is None else f"{instance} uid {uid}"


def _unreadable(detail: str) -> RefusedError:
    return RefusedError(400, "Bad Request", detail)


def _unusable(detail: str) -> RefusedError:
    return RefusedError(422, "Unprocessable Content", detail)
