"""The routes of the ambassador."""

from __future__ import annotations

from pillion.ambassador.overview import BreakerList, RouteList, UpstreamList
from pillion.api import ambassador
from pillion.api.route import Answer, Role, Route

_MERGED = (
    "Counts are the sums of all workers since each one's start; `workers` says by which revision of the policy each goes, and "
    "which is behind."
)
_BY_HAND = (
    "`open` sends nothing to it any more, `close` sends whatever happens, `auto` lets it judge for itself again. It holds in all "
    "workers, also in those that start later, until it is taken back. Answers when the workers have done it, or after a second."
)

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/ambassador/upstreams",
        role=Role.APP,
        handler=ambassador.get_upstreams,
        summary="The upstreams and their endpoints",
        description="Where the endpoints come from, how healthy they are, what was sent to them. An upstream that is not "
        f"`known` goes on with the endpoints that it had; `reason` says why. {_MERGED}",
        answers=(Answer(200, "The upstreams.", UpstreamList),),
    ),
    Route(
        method="GET",
        path="/v1/ambassador/routes",
        role=Role.APP,
        handler=ambassador.get_routes,
        summary="The routes, in the order in which they are tried",
        description=f"As the settings and the configuration have them. {_MERGED}",
        answers=(Answer(200, "The routes.", RouteList),),
    ),
    Route(
        method="GET",
        path="/v1/ambassador/breakers",
        role=Role.APP,
        handler=ambassador.get_breakers,
        summary="The circuit breaker of every endpoint",
        description="`state` is the worst of all workers (closed, half-open, open), `workers` each one's, `forced` whether it "
        f"was set by hand. {_MERGED}",
        answers=(Answer(200, "The breakers.", BreakerList),),
    ),
    Route(
        method="POST",
        path="/v1/ambassador/breakers/{upstream}",
        role=Role.OPERATOR,
        handler=ambassador.post_breakers,
        summary="Open or close all circuits of an upstream by hand",
        description=_BY_HAND,
        answers=(Answer(200, "The upstream's breakers then.", BreakerList),),
        body=ambassador.BreakerAction,
        refusals=(404, 409, 415, 422),
    ),
    Route(
        method="POST",
        path="/v1/ambassador/breakers/{upstream}/{endpoint+}",
        role=Role.OPERATOR,
        handler=ambassador.post_breakers,
        summary="Open or close the circuit of one endpoint by hand",
        description=f"The endpoint is its `address:port`, or `unix:/path`. {_BY_HAND}",
        answers=(Answer(200, "The upstream's breakers then.", BreakerList),),
        body=ambassador.BreakerAction,
        refusals=(404, 409, 415, 422),
    ),
)
