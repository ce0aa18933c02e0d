"""The ambassador: which upstreams and routes there are, how their circuits stand, and opening or closing these by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from pillion.ambassador.overview import (
    BreakerList,
    RouteList,
    UpstreamList,
    breaker_list,
    route_list,
    upstream_list,
)
from pillion.api.answers import json_answer
from pillion.api.query import body
from pillion.errors import RefusedError

if TYPE_CHECKING:
    from pillion.ambassador.snapshot import Snapshot
    from pillion.api.context import Context
    from pillion.http.server import Request, Response


class BreakerAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a change by hand; `auto` gives the breaker back to its own judgement."""

    action: Literal["open", "close", "auto"]


async def get_upstreams(context: Context, _request: Request, _values: tuple[str, ...]) -> Response:
    """Every upstream with its endpoints."""
    plane = context.ambassador
    if plane is None or (snapshot := plane.snapshot) is None:
        return json_answer(UpstreamList(revision=0, workers=[], items=[]))
    return json_answer(
        upstream_list(
            snapshot,
            plane.policy.upstreams,
            plane.publisher.workers,
            lambda upstream, key: plane.checks.standing(upstream, key).why,
        )
    )


async def get_routes(context: Context, _request: Request, _values: tuple[str, ...]) -> Response:
    """Every route, in the order in which they are tried."""
    plane = context.ambassador
    if plane is None or (snapshot := plane.snapshot) is None:
        return json_answer(RouteList(revision=0, workers=[], items=[]))
    routes = plane.policy.settings.ambassador.routes
    return json_answer(route_list(snapshot, routes, plane.publisher.workers))


async def get_breakers(context: Context, _request: Request, _values: tuple[str, ...]) -> Response:
    """Every endpoint's breaker."""
    plane = context.ambassador
    if plane is None or (snapshot := plane.snapshot) is None:
        return json_answer(BreakerList(revision=0, workers=[], items=[]))
    return json_answer(breaker_list(snapshot, plane.publisher.workers, plane.telling.why_open))


async def post_breakers(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Change the breakers of an upstream, or of one endpoint; answers when the workers have done it, or after a second."""
    plane = context.ambassador
    wanted = await body(request, BreakerAction)
    upstream, endpoint = values[0], values[1] if len(values) > 1 else ""
    _find(None if plane is None else plane.snapshot, upstream, endpoint)
    assert plane is not None
    try:
        plane.force(upstream, endpoint, wanted.action)
    except ValueError as error:
        raise RefusedError(409, "Conflict", f"{error}") from error
    await plane.settled()
    assert plane.snapshot is not None
    return json_answer(
        breaker_list(plane.snapshot, plane.publisher.workers, plane.telling.why_open, upstream)
    )


def _find(snapshot: Snapshot | None, upstream: str, endpoint: str) -> None:
    names = [] if snapshot is None else [one.name for one in snapshot.upstreams]
    if snapshot is None or upstream not in names:
        there = ", ".join(names[:20]) or "none"
        raise RefusedError(
            404, "Not Found", f"cannot find the upstream {upstream[:64]!r}; there is {there}"
        )
    keys = [one.key for one in snapshot.endpoints(upstream).endpoints]
    if endpoint and endpoint not in keys:
        there = ", ".join(keys[:20]) or "none"
        raise RefusedError(
            404,
            "Not Found",
            f"cannot find the endpoint {endpoint[:128]!r} of {upstream}; there is {there}",
        )
