"""The life of the instance as a whole: reload, upgrade, shutdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.api.answers import json_answer
from pillion.api.components import Nothing
from pillion.api.problems import problem
from pillion.api.query import body
from pillion.errors import RefusedError
from pillion.lifecycle.upgrade import UpgradeAnswer, Upgraded, UpgradeRequest
from pillion.settings import SettingsError

if TYPE_CHECKING:
    from pillion.api.context import Context
    from pillion.http.server import Request, Response

# Every step of an upgrade has its own bound in the keeper; this one only ends what was forgotten.
UPGRADE_TIMEOUT_S = 600.0
# How long the answer to an upgrade is waited for by an agent that has itself been told to retire.
REPLY_GRACE_S = 2.0
SHUTDOWN_TIMEOUT_S = 5.0


class ShutdownAnswer(msgspec.Struct, frozen=True):
    """The ordered stop has begun."""

    state: str = "stopping"


async def reload(context: Context, request: Request, _values: tuple[str, ...]) -> Response:
    """Read the settings file again; with one problem nothing changes, and all are told."""
    await body(request, Nothing)
    try:
        return json_answer(await context.reload())
    except SettingsError as error:
        problems = [str(one) for one in error.problems]
        count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        detail = f"cannot use the settings: {count}; nothing was changed"
        return problem(422, detail, title="Settings Refused", problems=problems)


async def upgrade(context: Context, request: Request, _values: tuple[str, ...]) -> Response:
    """Replace processes by those of another version; this agent may be one of them, and still answers."""
    wanted = await body(request, UpgradeRequest)
    if wanted.python is not None and not wanted.python.startswith("/"):
        detail = f"cannot use {wanted.python[:256]!r} as the interpreter: give its absolute path"
        raise RefusedError(422, "Unprocessable Content", detail)
    parameters: dict[str, object] = {"python": wanted.python}
    if wanted.components:  # else all of the sidecar that there is
        parameters["components"] = wanted.components
    if wanted.drain_s is not None:
        parameters["drain_s"] = wanted.drain_s
    answer = await context.call_while_serving(
        "upgrade",
        parameters,
        UpgradeAnswer,
        timeout_s=UPGRADE_TIMEOUT_S,
        grace_s=REPLY_GRACE_S,
    )
    if answer is not None:
        return json_answer(answer)
    text = "the agent has been replaced; `pillion events` tells the rest"
    return json_answer(UpgradeAnswer([Upgraded(name="agent")], text), 202)


async def shutdown(context: Context, request: Request, _values: tuple[str, ...]) -> Response:
    """Begin the ordered stop: the app first, the sidecar with its final flush last."""
    await body(request, Nothing)
    await context.control.call("shutdown", {}, msgspec.Raw, timeout_s=SHUTDOWN_TIMEOUT_S)
    return json_answer(ShutdownAnswer(), 202)
