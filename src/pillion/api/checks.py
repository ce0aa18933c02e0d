"""The app's health, for the app and for load balancers; checks that come while it runs, and what their subjects say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.api.access import PROBE
from pillion.api.answers import json_answer
from pillion.api.app_facts import app_facts
from pillion.api.context import given
from pillion.api.query import body, text
from pillion.api.route import Role
from pillion.errors import RefusedError
from pillion.health.check import CRITICAL, KINDS
from pillion.health.report import HealthStatus
from pillion.health.result import Verdict
from pillion.http.server import Response

if TYPE_CHECKING:
    from pillion.api.context import Context
    from pillion.health.report import HealthReport
    from pillion.http.server import Request


class CheckRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A check, as `[health.checks.NAME]` has it: durations with a unit, exactly one of http, tcp, exec, ttl, process and grpc.

    `persistent`: it stays until it is deleted. Others end with the app's process.
    """

    http: str | None = None
    tcp: str | int | None = None
    exec: list[str] | str | None = None
    ttl: str | None = None
    process: str | None = None
    grpc: str | int | None = None
    kind: str | None = None
    interval: str | None = None
    timeout: str | None = None
    rise: int | None = None
    fall: int | None = None
    jitter: str | float | None = None
    grace: str | None = None
    restart: bool | None = None
    method: str | None = None
    headers: dict[str, str] | None = None
    status: list[str | int] | None = None
    persistent: bool = False


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What goes with a word about a ttl check; of `output` 1 KiB is kept."""

    output: str = ""


def get_health(context: Context, request: Request, _values: tuple[str, ...]) -> Response:
    """From what is known: a load balancer must not wait for anybody."""
    wanted = text(request, "kind")
    if wanted is not None and wanted not in KINDS:
        detail = f"cannot read kind={wanted[:64]!r}: write one of {', '.join(KINDS)}"
        raise RefusedError(400, "Bad Request", detail)
    report = given(context.health).report(KINDS if wanted is None else (wanted,))
    status = 503 if report.status == CRITICAL else 200
    told: HealthReport | HealthStatus = report
    if request.listener == PROBE:
        told = HealthStatus(report.status)  # outputs are not for strangers
    return json_answer(told, status)


async def put_check(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Add or change a check; one that is the same already goes on as it is."""
    health = given(context.health)
    wanted = await body(request, CheckRequest)
    described = msgspec.to_builtins(wanted)
    described.pop("persistent", None)
    await _look_at_the_app(context)
    operator = context.role_of(request) >= Role.OPERATOR
    created = await health.register(
        values[0], described, persistent=wanted.persistent, operator=operator
    )
    return json_answer(health.check(values[0]), 201 if created else 200)


async def delete_check(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Remove a check that was registered."""
    operator = context.role_of(request) >= Role.OPERATOR
    await given(context.health).unregister(values[0], operator=operator)
    return Response(204)


async def tell_pass(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """It is well."""
    return await _tell(context, request, values[0], Verdict.PASS)


async def tell_warn(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """It works, and somebody should look."""
    return await _tell(context, request, values[0], Verdict.WARN)


async def tell_fail(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """It does not work."""
    return await _tell(context, request, values[0], Verdict.FAIL)


async def _tell(context: Context, request: Request, name: str, verdict: Verdict) -> Response:
    said = await body(request, Said)
    health = given(context.health)
    if not health.app_runs:
        await _look_at_the_app(context)
    health.tell(name, verdict, said.output)
    return json_answer(health.check(name))


async def _look_at_the_app(context: Context) -> None:
    """An app may be quicker to ask than the keeper to tell of it; what is known when it begins, ends with the one before."""
    status = await context.best_status()
    if status is not None and context.health is not None:
        context.health.app(app_facts(status))
