"""What the handlers of configuration have in common: shapes, header fields, who writes, and refusals with their fields."""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import TYPE_CHECKING

import msgspec

from pillion.api.answers import JSON_FIELDS
from pillion.api.context import given
from pillion.api.problems import problem
from pillion.api.query import text
from pillion.api.route import Role
from pillion.config.keys import SERVICE, check_layer
from pillion.config.preconditions import (
    Outdated,
    Precondition,
    read_precondition,
    weakly_listed,
)
from pillion.config.writing import Breaks
from pillion.errors import RefusedError
from pillion.http.server import Response
from pillion.store.interface import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pillion.api.context import Context
    from pillion.config.configuration import Configuration
    from pillion.config.items import Item
    from pillion.http.server import Request

    Field = tuple[bytes, bytes]
    Handler = Callable[[Context, Request, tuple[str, ...]], Awaitable[Response]]

BODY_BYTES = 1 << 20
READY_S = 2.0
"""For the store to be read at our own start; then what was kept is served, marked, or nothing."""

_REVISION_DIGITS = 18
_ROLES = tuple(role.name.lower() for role in Role)


class ConfigItem(msgspec.Struct, frozen=True, kw_only=True):
    """A value, and where it comes from. With `omitted`, which says why, there is none."""

    key: str
    value: object = None
    revision: int
    layer: str


class ConfigList(msgspec.Struct, frozen=True):
    """The answer to `GET /v1/config`, in the order of keys; `revision` is that of the store."""

    items: list[ConfigItem]
    revision: int


def refusing(handler: Handler) -> Handler:
    """The handler, its refusals turned into answers with what belongs to them: the current ETag, each problem."""

    @wraps(handler)
    async def answered(context: Context, request: Request, values: tuple[str, ...]) -> Response:
        try:
            return await handler(context, request, values)
        except Outdated as error:
            fields = [(b"etag", error.etag)] if error.etag else []
            return problem(412, str(error), headers=fields)
        except Breaks as error:
            return problem(422, str(error), problems=error.problems)

    return answered


async def ready(config: Configuration) -> None:
    """Wait at our start until the store was asked; `StoreUnavailableError` when there is nothing to answer from."""
    replica = config.replica
    if not replica.tried.is_set():
        try:
            async with asyncio.timeout(READY_S):
                await replica.tried.wait()
        except TimeoutError:
            replica.tried.set()  # nobody else needs to wait for it again
    if not replica.loaded:
        reason = config.store.health.reason or "it has not been read yet"
        raise StoreUnavailableError(f"cannot answer: {reason}; nothing was kept from before")


def marks(config: Configuration) -> tuple[Field, ...]:
    """The fields that say as of when an answer holds."""
    stale_s = config.replica.stale_s()
    if stale_s is None:
        return (config.replica.revision_field,)
    return (config.replica.revision_field, (b"pillion-stale", b"%d" % stale_s))


def item_answer(config: Configuration, request: Request, item: Item | None, what: str) -> Response:
    """The item, 304 when the client has it, 404 when there is none."""
    if item is None:
        return problem(404, f"cannot find {what}: it has no value", headers=marks(config))
    if item.omitted:
        return problem(
            503,
            f"cannot give {what}: it is held without its value ({item.omitted})",
            headers=marks(config),
        )
    known = request.headers.get(b"if-none-match")
    if known is not None and weakly_listed(known, item.etag):
        return Response(304, (JSON_FIELDS[1], item.etag_field, *marks(config)))
    return Response(200, (*JSON_FIELDS, item.etag_field, *marks(config)), item.body)


def named(key: str, layer: str | None) -> str:
    """The key in words."""
    return key if layer is None else f"{key} in the layer {layer}"


def read_layer(config: Configuration, request: Request) -> str | None:
    """The layer that the query names, None for all; `UsageError` for one that this instance does not have."""
    layer = check_layer(text(request, "layer"))
    if layer is not None:
        config.scopes.store_key(layer, "")
    return layer


def written_layer(config: Configuration, request: Request) -> str:
    """The layer to write to: the service's own unless the query names another."""
    return read_layer(config, request) or SERVICE


def revision_of(request: Request, name: str = "revision") -> int | None:
    """A revision in the query; None when it is not there."""
    value = text(request, name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= _REVISION_DIGITS):
        raise RefusedError(
            400,
            "Bad Request",
            f"cannot read {name}={value[:64]!r}: write the revision of an answer",
        )
    return int(value)


def precondition(request: Request) -> Precondition:
    """What If-Match and If-None-Match ask for."""
    return read_precondition(
        request.headers.get(b"if-match"), request.headers.get(b"if-none-match")
    )


def writer_of(context: Context, request: Request) -> str:
    """Who writes: instance and role, and on the Unix socket the process and its user."""
    words = [context.control.place.instance, _ROLES[context.role_of(request)]]
    peer = request.peer
    if peer.uid is not None:
        words.append(f"pid={peer.pid} uid={peer.uid}")
    return " ".join(words)


def configuration(context: Context) -> Configuration:
    """The configuration of this agent; 501 when it has none."""
    return given(context.config)
