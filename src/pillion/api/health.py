"""The sidecar about itself: alive, ready, and its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.api.answers import json_answer
from pillion.api.metrics import render
from pillion.api.problems import problem
from pillion.api.route import METRICS
from pillion.http.server import Response
from pillion.lifecycle.readiness import readiness

if TYPE_CHECKING:
    from pillion.api.context import Context
    from pillion.http.server import Request


class Alive(msgspec.Struct, frozen=True):
    """The answer to `/livez`."""

    alive: bool = True


_ALIVE = json_answer(Alive())


def livez(_context: Context, _request: Request, _values: tuple[str, ...]) -> Response:
    """The loop turns, or nobody would answer."""
    return _ALIVE


def readyz(context: Context, _request: Request, _values: tuple[str, ...]) -> Response:
    """From what the keeper told last: a probe must not wait for anybody."""
    found = readiness(context.state)
    if found.ready:
        return json_answer(found)
    detail = f"cannot take work: {'; '.join(found.reasons)}"
    return problem(503, detail, problems=found.reasons)


async def metrics(context: Context, _request: Request, _values: tuple[str, ...]) -> Response:
    """Fresh from the keeper; what it said last when it does not answer, since a gap would hide the rest."""
    status = await context.best_status()
    page = render(status, context.stats(), context.version)
    return Response(200, [(b"content-type", METRICS.encode())], page)
