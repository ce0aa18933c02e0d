"""The processes of the instance: what they are, and what an operator may do to them; the keeper decides."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from pillion.api.answers import json_answer
from pillion.api.context import ACT_TIMEOUT_S
from pillion.api.query import body
from pillion.errors import RefusedError
from pillion.lifecycle.limits import KEYS, LimitsChange
from pillion.model.component import Component, overview

if TYPE_CHECKING:
    from pillion.api.context import Context
    from pillion.http.server import Request, Response


# How long the keeper's reply is waited for by an agent that has itself been told to go.
REPLY_GRACE_S = 0.2


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body without members: `{}`, or none at all."""


class SignalRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`signal` is a name with or without SIG: `HUP`, `SIGUSR1`."""

    signal: str


async def get_components(context: Context, _request: Request, _values: tuple[str, ...]) -> Response:
    """All of them, and the instance that they belong to."""
    return json_answer(overview(await context.fresh_status()))


async def start(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Start a stopped or failed one."""
    return await _act(context, request, "start", values)


async def stop(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Stop one, and leave it stopped."""
    return await _act(context, request, "stop", values)


async def restart(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Stop one and start it again."""
    return await _act(context, request, "restart", values)


async def send_signal(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Send a signal to one."""
    wanted = (await body(request, SignalRequest)).signal.upper().removeprefix("SIG")
    if f"SIG{wanted}" not in signal.Signals.__members__:
        detail = f"cannot send {wanted[:32]!r}: there is no such signal; name one like HUP or USR1"
        raise RefusedError(422, "Unprocessable Content", detail)
    return await _call(context, "signal", {"name": values[0], "signal": wanted})


async def change_limits(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Change its limits; what the body does not name stays."""
    change = await body(request, LimitsChange)
    if change.is_empty:
        detail = f"cannot change nothing: name at least one of {', '.join(KEYS)}"
        raise RefusedError(422, "Unprocessable Content", detail)
    wanted = {key: value for key in KEYS if (value := getattr(change, key)) is not UNSET}
    return await _call(context, "limits", {"name": values[0], "limits": wanted})


async def _act(
    context: Context, request: Request, action: str, values: tuple[str, ...]
) -> Response:
    await body(request, Nothing)
    return await _call(context, action, {"name": values[0]})


async def _call(context: Context, method: str, parameters: dict[str, object]) -> Response:
    component = await context.call_while_serving(
        method, parameters, Component, timeout_s=ACT_TIMEOUT_S, grace_s=REPLY_GRACE_S
    )
    if component is None:
        # We are what is stopped or restarted: this answer is the last one.
        name = str(parameters["name"])
        return json_answer(Component(name=name, state="stopping"), 202)
    return json_answer(component)
