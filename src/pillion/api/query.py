"""Query parameters and JSON bodies, read strictly: what cannot be used is a problem with its name, never ignored."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pillion.errors import RefusedError
from pillion.settings.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pillion.api.route import Parameter
    from pillion.http.server import Request

T = TypeVar("T")

BODY_BYTES = 64 * 1024
_YES = frozenset({"", "1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})


def check_names(request: Request, parameters: Sequence[Parameter]) -> None:
    """Refuse a parameter that the route does not have: a slip must not read as a broader question."""
    known = {parameter.name for parameter in parameters}
    for name in request.query:
        if name not in known:
            others = ", ".join(sorted(known)) or "none"
            raise _bad(f"cannot use the query parameter {name[:64]!r}: this path knows {others}")


def text(request: Request, name: str) -> str | None:
    """The parameter's value; None when it is not there. Twice is a problem."""
    values = request.query.get(name)
    if values is None:
        return None
    if len(values) > 1:
        raise _bad(f"cannot use {name} twice: give it once")
    return values[0]


def flag(request: Request, name: str) -> bool:
    """`?follow`, `?follow=1`, `?follow=true`; false when it is not there."""
    value = text(request, name)
    if value is None or value.lower() in _NO:
        return False
    if value.lower() in _YES:
        return True
    raise _bad(f"cannot read {name}={value[:64]!r}: write true or false")


def whole(request: Request, name: str, default: int, low: int, high: int) -> int:
    """A whole number from `low` to `high`."""
    value = text(request, name)
    if value is None:
        return default
    if not value.isascii() or not value.isdigit() or not low <= int(value[:12]) <= high:
        raise _bad(f"cannot read {name}={value[:64]!r}: write a number from {low} to {high}")
    return int(value)


def moment(request: Request, name: str, now_s: float | None = None) -> float | None:
    """Seconds since the epoch, from a duration that has passed (`10m`) or an RFC 3339 time; None when not there."""
    value = text(request, name)
    if value is None:
        return None
    try:
        return parse_moment(value, time.time() if now_s is None else now_s)
    except ValueError as error:
        raise _bad(f"cannot read {name}={value[:64]!r}: {error}") from error


def parse_moment(value: str, now_s: float) -> float:
    """Seconds since the epoch of `10m` (before `now_s`) or of an RFC 3339 time; `ValueError` says what to write."""
    try:
        return now_s - parse_duration(value)
    except ValueError:
        pass  # no duration; a time then
    try:
        then = datetime.fromisoformat(value.replace(" ", "+"))  # a plus sign that nobody escaped
    except ValueError as error:
        raise ValueError("write 10m, 2h, or a time like 2026-01-31T12:00:00Z") from error
    if then.tzinfo is None:
        raise ValueError("a time needs its zone; add Z for UTC")
    return then.timestamp()


async def body(request: Request, kind: type[T], limit: int = BODY_BYTES) -> T:
    """The JSON body as a `kind`; an empty one stands for `{}`.

    Raises `RefusedError`: 415 for another media type, 400 for no JSON, 422 for JSON of another shape;
    `Refusal` 413 above `limit` bytes.
    """
    data = await request.read(limit)
    if not data:
        data = b"{}"
    elif not _is_json(request.headers.get(b"content-type")):
        # Strict on purpose: a browser cannot send this type to us from a foreign page without asking first.
        raise RefusedError(
            415,
            "Unsupported Media Type",
            "cannot read this body: send Content-Type: application/json",
        )
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise RefusedError(
            422, "Unprocessable Content", f"cannot use this body: {error}; see /v1/openapi.json"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(400, "Bad Request", f"cannot read this body as JSON: {error}") from error


def accepts(request: Request, media: str) -> bool:
    """Whether the Accept field names `media` itself, with a weight above zero (RFC 9110 section 12.5.1)."""
    field = request.headers.get(b"accept")
    if field is None:
        return False
    for member in field.decode("latin-1").lower().split(","):
        name, *parameters = (part.strip() for part in member.split(";"))
        if name == media:
            return not any(
                p.replace(" ", "") in ("q=0", "q=0.0", "q=0.00", "q=0.000") for p in parameters
            )
    return False


def _is_json(content_type: bytes | None) -> bool:
    return content_type is not None and (
        content_type.split(b";")[0].strip().lower() == b"application/json"
    )


def _bad(detail: str) -> RefusedError:
    return RefusedError(400, "Bad Request", detail)
