"""Configuration as it was: the history of a key, and what two views do not agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.api.answers import JSON_FIELDS, json_answer
from pillion.api.config_answers import configuration, read_layer, ready, revision_of
from pillion.api.query import text, whole
from pillion.config.items import problem_with
from pillion.config.keys import DEFAULT, check_key, check_prefix
from pillion.config.past import View, as_of_known, differences, history, read_view
from pillion.config.ring import Selection
from pillion.http.server import Response
from pillion.logs.stamp import rfc3339

if TYPE_CHECKING:
    from pillion.api.context import Context
    from pillion.config.configuration import Configuration
    from pillion.config.items import Item
    from pillion.config.tree import Tree
    from pillion.http.server import Request

LIMIT = 50
MOST = 1000


class Past(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change of a key; one that deleted it has `deleted` and no value."""

    revision: int
    layer: str
    value: object = None
    deleted: bool = False
    time: str
    writer: str


class PastList(msgspec.Struct, frozen=True):
    """The answer to `GET /v1/history/{key}`, newest first."""

    items: list[Past]


class Side(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one view has for a key: value, revision and layer."""

    value: object
    revision: int
    layer: str


class Difference(msgspec.Struct, frozen=True, rename={"before": "from", "after": "to"}):
    """A key on which two views do not agree; null where it is not there."""

    key: str
    before: Side | None
    after: Side | None


class DifferenceList(msgspec.Struct, frozen=True, rename={"before": "from", "after": "to"}):
    """The answer to `GET /v1/diff`: the two views as they were understood, and the keys in order."""

    before: str
    after: str
    items: list[Difference]


async def get_history(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """The last changes of a key, from the store itself."""
    config = configuration(context)
    key = check_key(values[0])
    layer = read_layer(config, request)
    found = await history(
        config.store,
        config.scopes,
        key,
        layer,
        limit=whole(request, "limit", LIMIT, 1, MOST),
        before=revision_of(request, "before"),
    )
    items = []
    for past in found:
        value = past.change.value
        head = {
            "revision": past.change.revision,
            "layer": past.layer,
            "time": rfc3339(int(past.change.time_s * 1e9)),
            "writer": past.change.writer,
        }
        if value is None:
            items.append({**head, "deleted": True})
        elif why := problem_with(value):
            items.append({**head, "omitted": why})
        else:
            items.append({**head, "value": msgspec.Raw(value)})
    return json_answer({"items": items})


async def get_difference(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """What changed between two revisions, or is different between two layers: of a key, or of all below a prefix."""
    config = configuration(context)
    selection = _selection(request, values)
    layer = read_layer(config, request)
    start = text(request, "from")
    before = View(DEFAULT) if start is None else read_view(start, layer)
    after = read_view(text(request, "to"), layer)
    await ready(config)
    sides = [await _side(config, view, selection) for view in (before, after)]
    found = differences(sides[0], sides[1], selection)
    items = [{"key": one.key, "from": _told(one.before), "to": _told(one.after)} for one in found]
    answer = msgspec.json.encode({"from": str(before), "to": str(after), "items": items})
    return Response(200, JSON_FIELDS, answer)


def _selection(request: Request, values: tuple[str, ...]) -> Selection:
    if not values:
        return Selection(prefix=check_prefix(text(request, "prefix") or ""))
    name = values[0]
    if name.endswith("/"):
        return Selection(prefix=check_prefix(name))
    return Selection(key=check_key(name))


async def _side(config: Configuration, view: View, selection: Selection) -> tuple[Tree, str | None]:
    if view.layer is not None:
        config.scopes.store_key(view.layer, "")
    if view.revision is None:
        return config.replica.tree, view.layer
    narrowed = Selection(selection.key, selection.prefix, view.layer)
    tree = await as_of_known(config.store, config.scopes, narrowed, view.revision)
    return tree, view.layer


def _told(item: Item | None) -> dict[str, object] | None:
    if item is None:
        return None
    value = {"omitted": item.omitted} if item.omitted else {"value": msgspec.Raw(item.value)}
    return {**value, "revision": item.revision, "layer": item.layer}
