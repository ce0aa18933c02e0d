"""The sidecar about itself: alive, ready, and its numbers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from pillion.ambassador.red_samples import samples
from pillion.api.answers import json_answer
from pillion.api.metrics import render
from pillion.api.problems import problem
from pillion.api.route import METRICS
from pillion.errors import UnreachableError
from pillion.health.check import CRITICAL, READINESS
from pillion.http.server import Response
from pillion.lifecycle.readiness import Readiness, readiness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pillion.ambassador.wire import Sample
    from pillion.api.context import Context
    from pillion.http.server import Request
    from pillion.telemetry.measurement import Measurement


class Alive(msgspec.Struct, frozen=True):
    """The answer to `/livez`."""

    alive: bool = True


_ALIVE = json_answer(Alive())


def livez(_context: Context, _request: Request, _values: tuple[str, ...]) -> Response:
    """The loop turns, or nobody would answer."""
    return _ALIVE


def readyz(context: Context, _request: Request, _values: tuple[str, ...]) -> Response:
    """From what the keeper told last and what the checks said: a probe must not wait for anybody."""
    reasons = readiness(context.state).reasons
    if not reasons and context.health is not None:
        report = context.health.report((READINESS,))
        reasons = report.reasons if report.status == CRITICAL else []
    if not reasons:
        return json_answer(Readiness(ready=True))
    detail = f"cannot take work: {'; '.join(reasons)}"
    return problem(503, detail, problems=reasons)


async def metrics(context: Context, _request: Request, _values: tuple[str, ...]) -> Response:
    """Fresh from the keeper; what it said last when it does not answer, since a gap would hide the rest."""
    status, measured = await asyncio.gather(context.best_status(), _measured(context))
    page = render(status, context.stats(), context.version, _seen_by_workers(context), measured)
    return Response(200, [(b"content-type", METRICS.encode())], page)


async def _measured(context: Context) -> list[Measurement]:
    if context.measure is None:
        return []
    try:
        return await context.measure()
    except UnreachableError:
        return []  # a gap in these must not hide the rest


def _seen_by_workers(context: Context) -> Iterator[tuple[str, Iterator[Sample]]]:
    if context.ambassador is None:
        return
    # In an upgrade there are two of a name for a moment: a series may stand there once.
    newest = {worker.name: worker for worker in context.ambassador.publisher.workers}
    for worker in newest.values():
        if worker.report is not None and worker.report.red is not None:
            yield worker.name, samples(worker.report.red)
