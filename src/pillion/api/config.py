# cython: annotation_typing=False, auto_pickle=False
"""Configuration, read: from memory, in one look-up where nothing more is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.api.answers import JSON_FIELDS
from pillion.api.config_answers import (
    configuration,
    item_answer,
    marks,
    named,
    read_layer,
    ready,
    revision_of,
)
from pillion.api.config_watch import stream, wait_for_change
from pillion.api.query import accepts, flag, text
from pillion.api.route import EVENT_STREAM
from pillion.config.keys import check_key, check_prefix
from pillion.config.preconditions import weakly_listed
from pillion.config.ring import Selection
from pillion.http.codec.encode import encode_fields
from pillion.http.codec.names import ACCEPT, IF_NONE_MATCH
from pillion.http.server.messages import Response  # where its C side is declared
from pillion.store.interface import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pillion.api.context import Context
    from pillion.config.configuration import Configuration
    from pillion.http.server.messages import Request


# The last Accept that asked for no stream: clients of a kind send the same, and to compare costs less than to search.
_usual_accept = b""


def get_value(
    context: Context, request: Request, values: tuple[str, ...]
) -> Response | Awaitable[Response]:
    """What holds for a key. The way that most requests take is kept short: no task, no parsing."""
    config = context.config
    if config is not None and not request.query_string:
        replica = config.replica
        effective = config.effective
        item = effective.get(values[0])
        if item is not None and replica.stale_since is None and not item.omitted:
            headers = request.headers
            accept = headers.known(ACCEPT)
            if accept is None or accept == _usual_accept or _asks_no_stream(accept):
                known = headers.known(IF_NONE_MATCH)
                if known is None or not (known == item.etag or weakly_listed(known, item.etag)):
                    head = item.head
                    if not head:
                        head = item.head = encode_fields((*JSON_FIELDS, item.etag_field))
                    return Response(200, head + replica.revision_line, item.body)
                return Response(304, (JSON_FIELDS[1], item.etag_field, replica.revision_field))
    return _get_value(context, request, values[0])


async def get_values(context: Context, request: Request, _values: tuple[str, ...]) -> Response:
    """What holds for every key that begins with a prefix."""
    config = configuration(context)
    prefix = check_prefix(text(request, "prefix") or "")
    selection = Selection(prefix=prefix, layer=read_layer(config, request))
    await ready(config)
    if accepts(request, EVENT_STREAM):
        return stream(context, request, config, selection)
    await _settle(context, request, config, selection)
    items = config.replica.tree.items(prefix, selection.layer)
    bodies = b",".join([item.body for item in items])
    body = b'{"items":[%s],"revision":%d}' % (bodies, config.replica.tree.revision)
    return Response(200, (*JSON_FIELDS, *marks(config)), body)


async def _get_value(context: Context, request: Request, key: str) -> Response:
    config = configuration(context)
    selection = Selection(key=check_key(key), layer=read_layer(config, request))
    await ready(config)
    if accepts(request, EVENT_STREAM):
        return stream(context, request, config, selection)
    await _settle(context, request, config, selection)
    item = config.replica.tree.item(key, selection.layer)
    return item_answer(config, request, item, named(key, selection.layer))


def _asks_no_stream(accept: bytes) -> bool:
    """Whether the field surely asks for no event stream; what may do so is read with care elsewhere."""
    global _usual_accept
    if b"event-stream" in accept.lower():
        return False
    _usual_accept = accept
    return True


async def _settle(
    context: Context, request: Request, config: Configuration, selection: Selection
) -> None:
    """Do what the query asks for before the answer is taken: see that the store has no more, or wait for a change."""
    if not request.query_string:
        return
    if flag(request, "consistent") and not await config.replica.agrees(selection):
        raise StoreUnavailableError(
            "cannot answer consistently: the store changes faster than it is followed; ask again"
        )
    await wait_for_change(context, request, config, selection, revision_of(request))
