"""The JSON Schemas that values have to keep to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.api.answers import JSON_FIELDS, json_answer
from pillion.api.config_answers import (
    BODY_BYTES,
    configuration,
    marks,
    precondition,
    ready,
    refusing,
    writer_of,
)
from pillion.api.problems import problem
from pillion.api.query import body, flag, text
from pillion.config.items import read_value
from pillion.config.keys import check_prefix
from pillion.config.preconditions import weakly_listed
from pillion.config.schemas import Schema, check_name
from pillion.errors import RefusedError
from pillion.http.server import Response
from pillion.store.interface import VALUE_BYTES

if TYPE_CHECKING:
    from pillion.api.context import Context
    from pillion.http.server import Request


class SchemaBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body that sets one: a JSON Schema, an object or a boolean."""

    schema: msgspec.Raw


class SchemaItem(msgspec.Struct, frozen=True, kw_only=True):
    """A schema, and the key or the beginning of keys (with `/` at its end) that it is for."""

    key: str
    schema: object
    revision: int


class SchemaList(msgspec.Struct, frozen=True):
    """The answer to `GET /v1/schemas`."""

    items: list[SchemaItem]


async def get_schemas(context: Context, request: Request, _values: tuple[str, ...]) -> Response:
    """All of them, or those whose key begins with a prefix."""
    config = configuration(context)
    prefix = check_prefix(text(request, "prefix") or "")
    await ready(config)
    answer = json_answer({"items": [_item(one) for one in config.replica.schemas.items(prefix)]})
    answer.headers = (*answer.headers, *marks(config))
    return answer


async def get_schema(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """The one that was set for just this key or prefix."""
    config = configuration(context)
    name = check_name(values[0])
    await ready(config)
    schema = config.replica.schemas.get(name)
    if schema is None:
        detail = f"cannot find a schema of {name}: none was set"
        return problem(404, detail, headers=marks(config))
    known = request.headers.get(b"if-none-match")
    tag = (b"etag", schema.etag)
    if known is not None and weakly_listed(known, schema.etag):
        return Response(304, (JSON_FIELDS[1], tag, *marks(config)))
    fields = (*JSON_FIELDS, tag, *marks(config))
    return Response(200, fields, msgspec.json.encode(_item(schema)))


@refusing
async def put_schema(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Set one, if it can be used and what is there keeps to it."""
    config = configuration(context)
    name = check_name(values[0])
    wanted = precondition(request)
    force = flag(request, "force")
    raw = read_value(bytes((await body(request, SchemaBody, BODY_BYTES)).schema))
    if len(raw) > VALUE_BYTES:
        detail = f"cannot keep a schema of {len(raw)} bytes: {VALUE_BYTES} are the most"
        raise RefusedError(413, "Content Too Large", detail)
    await ready(config)
    schema, created = await config.schema_writing.put(
        name, raw, writer_of(context, request), wanted, force=force
    )
    fields = (
        *JSON_FIELDS,
        (b"etag", schema.etag),
        (b"pillion-revision", b"%d" % schema.revision),
    )
    return Response(201 if created else 200, fields, msgspec.json.encode(_item(schema)))


@refusing
async def delete_schema(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Take one away."""
    config = configuration(context)
    name = check_name(values[0])
    wanted = precondition(request)
    await ready(config)
    revision = await config.schema_writing.delete(name, writer_of(context, request), wanted)
    if revision is None:
        return problem(404, f"cannot delete a schema of {name}: none was set")
    return Response(204, [(b"pillion-revision", b"%d" % revision)])


def _item(schema: Schema) -> dict[str, object]:
    return {
        "key": schema.name,
        "schema": msgspec.Raw(schema.raw),
        "revision": schema.revision,
    }
