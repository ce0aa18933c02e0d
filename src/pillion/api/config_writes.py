"""Configuration, written: one value, many, or one of before again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from pillion.api.answers import JSON_FIELDS
from pillion.api.config_answers import (
    BODY_BYTES,
    configuration,
    named,
    precondition,
    ready,
    refusing,
    writer_of,
    written_layer,
)
from pillion.api.problems import problem
from pillion.api.query import body
from pillion.config.items import deleted_body, read_value
from pillion.config.keys import SERVICE, check_key, check_layer
from pillion.config.past import as_of_known
from pillion.config.preconditions import Outdated, Precondition
from pillion.config.ring import Selection
from pillion.config.writing import Breaks
from pillion.errors import PillionError, RefusedError, UsageError
from pillion.http.server import Response
from pillion.store.interface import VALUE_BYTES, StoreFullError, StoreUnavailableError

if TYPE_CHECKING:
    from pillion.api.context import Context
    from pillion.config.configuration import Configuration
    from pillion.config.items import Item
    from pillion.http.server import Request

MOST_ITEMS = 10_000

_Revision = Annotated[int, msgspec.Meta(ge=0, lt=1 << 60)]


class ConfigValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a write: any JSON value."""

    value: msgspec.Raw


class ImportItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One value to write; with `revision` only if the key is at it in its layer, 0 for a key that is not there."""

    key: str
    value: msgspec.Raw
    layer: str = SERVICE
    revision: _Revision | None = None


class Import(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values to write, in this order, each for itself."""

    items: Annotated[list[ImportItem], msgspec.Meta(max_length=MOST_ITEMS)]


class Imported(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one: the status that a write of it alone would have had, and its revision or what is wrong."""

    key: str
    layer: str
    status: int
    revision: int | None = None
    detail: str = ""
    problems: list[str] = []


class ImportAnswer(msgspec.Struct, frozen=True):
    """What became of each, in the order of the request; `failed` is how many were not written."""

    items: list[Imported]
    failed: int


class Rollback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which revision is to hold again, and in which layer."""

    revision: _Revision
    layer: str = SERVICE


@refusing
async def put_value(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Publish a value."""
    config = configuration(context)
    key = check_key(values[0])
    layer = written_layer(config, request)
    wanted = precondition(request)
    value = _value((await body(request, ConfigValue, BODY_BYTES)).value)
    await ready(config)
    written = await config.writing.put(key, layer, value, writer_of(context, request), wanted)
    assert written.item is not None
    return _written(written.item, 201 if written.created else 200)


@refusing
async def delete_value(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Take a key out of a layer; what is below shows again."""
    config = configuration(context)
    key = check_key(values[0])
    layer = written_layer(config, request)
    wanted = precondition(request)
    await ready(config)
    written = await config.writing.delete(key, layer, writer_of(context, request), wanted)
    if written is None:
        return problem(404, f"cannot delete {named(key, layer)}: it is not there")
    return Response(204, [_revision(written.revision)])


@refusing
async def post_values(context: Context, request: Request, _values: tuple[str, ...]) -> Response:
    """Publish many, each for itself."""
    config = configuration(context)
    wanted = await body(request, Import, BODY_BYTES)
    await ready(config)
    writer = writer_of(context, request)
    results: list[Imported] = []
    away: StoreUnavailableError | None = None
    for item in wanted.items:
        if away is None:
            try:
                results.append(await _import(config, item, writer))
                continue
            except StoreUnavailableError as error:
                away = error
        # It would fail each time, after a wait each time.
        status = 507 if isinstance(away, StoreFullError) else 503
        results.append(Imported(key=item.key, layer=item.layer, status=status, detail=str(away)))
    failed = sum(one.status >= 400 for one in results)
    answer = msgspec.json.encode(ImportAnswer(results, failed))
    return Response(207 if failed else 200, JSON_FIELDS, answer)


@refusing
async def post_rollback(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Publish what was at a revision as a new one, or delete what was not there."""
    config = configuration(context)
    key = check_key(values[0])
    wanted = precondition(request)
    asked = await body(request, Rollback)
    layer = check_layer(asked.layer) or SERVICE
    config.scopes.store_key(layer, key)
    await ready(config)
    selection = Selection(key=key, layer=layer)
    then = await as_of_known(config.store, config.scopes, selection, asked.revision)
    old = then.item(key, layer)
    writer = writer_of(context, request)
    if old is not None:
        written = await config.writing.put(key, layer, old.value, writer, wanted)
        assert written.item is not None
        return _written(written.item, 200)
    deleted = await config.writing.delete(key, layer, writer, wanted)
    if deleted is None:
        detail = f"cannot roll back {named(key, layer)}: it was not there, and it is not there now"
        return problem(404, detail)
    fields = (*JSON_FIELDS, _revision(deleted.revision))
    return Response(200, fields, deleted_body(key, layer, deleted.revision))


async def _import(config: Configuration, item: ImportItem, writer: str) -> Imported:
    """Write one; every refusal but a store that is away is a result."""
    problems: list[str] = []
    try:
        key, layer = check_key(item.key), check_layer(item.layer) or SERVICE
        written = await config.writing.put(
            key, layer, _value(item.value), writer, _expected(layer, item.revision)
        )
    except StoreUnavailableError:
        raise
    except UsageError as error:
        status, detail = 400, str(error)
    except Outdated as error:
        status, detail = 412, str(error)
    except Breaks as error:
        status, detail, problems = 422, str(error), error.problems
    except RefusedError as error:
        status, detail = error.status, str(error)
    except PillionError as error:
        status, detail = 500, str(error)
    else:
        status = 201 if written.created else 200
        return Imported(key=key, layer=layer, status=status, revision=written.revision)
    return Imported(key=item.key, layer=item.layer, status=status, detail=detail, problems=problems)


def _expected(layer: str, revision: int | None) -> Precondition:
    if revision is None:
        return Precondition()
    if revision == 0:
        return Precondition(none_match=(b"*",))
    return Precondition(match=(b'"%s:%d"' % (layer.encode(), revision),))


def _value(raw: msgspec.Raw) -> bytes:
    value = read_value(bytes(raw))
    if len(value) > VALUE_BYTES:
        raise RefusedError(
            413,
            "Content Too Large",
            f"cannot keep a value of {len(value)} bytes: {VALUE_BYTES} are the most",
        )
    return value


def _written(item: Item, status: int) -> Response:
    return Response(status, (*JSON_FIELDS, item.etag_field, _revision(item.revision)), item.body)


def _revision(revision: int) -> tuple[bytes, bytes]:
    return (b"pillion-revision", b"%d" % revision)
