"""Secrets: which there are, the value of one, and word of changes that says nothing of values."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from pillion.api.answers import json_answer
from pillion.api.context import given
from pillion.api.query import accepts, text
from pillion.api.route import EVENT_STREAM, Role
from pillion.api.streams import (
    COMMENT,
    COMMENT_S,
    event_block,
    event_stream_answer,
    too_many,
    until_closing,
)
from pillion.api.waiting import unless_closing, wait_s
from pillion.http.server import Response
from pillion.secrets.secrets import SecretFacts  # noqa: TC001 # msgspec reads the annotation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pillion.api.context import Context
    from pillion.http.server import Request
    from pillion.secrets.reading import Value

MOST_WAIT_S = 300.0

_encoder = msgspec.json.Encoder()


class SecretList(msgspec.Struct, frozen=True):
    """The answer to `GET /v1/secrets`: facts alone."""

    items: list[SecretFacts]


class SecretValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to `GET /v1/secrets/{name}`; `encoding` is `base64` where the value is not UTF-8 text."""

    name: str
    value: str
    version: str
    encoding: str | None = None


async def get_secrets(context: Context, request: Request, _values: tuple[str, ...]) -> Response:
    """All of them, without values; with `Accept: text/event-stream` their changes as well."""
    operator = context.role_of(request) >= Role.OPERATOR
    if accepts(request, EVENT_STREAM):
        return _stream(context, None, operator=operator)
    return json_answer(SecretList(await given(context.secrets).facts(operator=operator)))


async def get_secret(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """The value now, or once it is another than `version`."""
    secrets = given(context.secrets)
    operator = context.role_of(request) >= Role.OPERATOR
    place = secrets.place(values[0], operator=operator)
    if accepts(request, EVENT_STREAM):
        return _stream(context, place.name, operator=operator)
    longest_s = wait_s(request, MOST_WAIT_S)
    known = text(request, "version")
    if longest_s is not None and known is not None:
        await unless_closing(context, secrets.wait(place, known, longest_s))
    value, version = await secrets.read(place)
    tag = f'"{version}"'.encode()
    fields = [(b"etag", tag), (b"cache-control", b"no-store")]
    if _has(request.headers.get(b"if-none-match"), tag):
        return Response(304, fields)
    answer = _value(place.name, value, version)
    return Response(200, [(b"content-type", b"application/json"), *fields], answer)


def _value(name: str, value: Value, version: str) -> bytes:
    try:
        content = SecretValue(name=name, value=value.data.decode(), version=version)
    except UnicodeDecodeError:
        from base64 import b64encode

        encoded = b64encode(value.data).decode()
        content = SecretValue(name=name, value=encoded, version=version, encoding="base64")
    return _encoder.encode(content)


def _has(field: bytes | None, tag: bytes) -> bool:
    """Whether If-None-Match names `tag`, compared weakly (RFC 9110 section 13.1.2)."""
    if field is None:
        return False
    return any(one.strip().removeprefix(b"W/") in (tag, b"*") for one in field.split(b","))


def _stream(context: Context, name: str | None, *, operator: bool) -> Response:
    if (refusal := too_many(context)) is not None:
        return refusal
    source = given(context.secrets).changes(name, operator=operator, look_s=COMMENT_S)
    return event_stream_answer(context, _blocks(until_closing(source, context.closing)))


async def _blocks(
    changes: AsyncGenerator[list[SecretFacts] | None, None],
) -> AsyncGenerator[bytes, None]:
    """Events `put` and `delete`; `current` after those that tell what there is. They carry no id: there is nothing to resume."""
    is_first = True
    async with aclosing(changes):
        async for facts in changes:
            if facts is None:
                yield COMMENT
                continue
            blocks = [
                event_block("put" if one.present else "delete", _encoder.encode(one))
                for one in facts
            ]
            if is_first:
                blocks.append(event_block("current", b"{}"))
                is_first = False
            yield b"".join(blocks)
