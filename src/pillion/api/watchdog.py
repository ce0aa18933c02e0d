"""The app's heartbeat over HTTP, for languages without sd_notify; the keeper counts it like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.api.answers import json_answer
from pillion.api.context import ASK_TIMEOUT_S
from pillion.api.query import body

if TYPE_CHECKING:
    from pillion.api.context import Context
    from pillion.http.server import Request, Response


class Heartbeat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`status` is shown by `pillion status`. `trigger` says that the app has found itself broken: it is ended as if it were silent."""

    status: str | None = None
    trigger: bool = False


class WatchdogFacts(msgspec.Struct, frozen=True):
    """Within how many seconds the app has to be heard (null: no watchdog is set), and how often it was since its start."""

    timeout_s: float | None
    beats: int


async def post_heartbeat(context: Context, request: Request, _values: tuple[str, ...]) -> Response:
    """Take a heartbeat."""
    said = await body(request, Heartbeat)
    params: dict[str, object] = {"trigger": said.trigger}
    if said.status is not None:
        params["status"] = said.status
    facts = await context.control.call("watchdog", params, WatchdogFacts, timeout_s=ASK_TIMEOUT_S)
    return json_answer(facts)
