"""The routes of discovery."""

from __future__ import annotations

from pillion.api import services
from pillion.api.route import EVENT_STREAM, JSON, Answer, Parameter, Role, Route
from pillion.api.services_view import ServiceAnswer, ServiceList
from pillion.discovery.instance import ServiceInstance

_TEXT: dict[str, object] = {"type": "string"}
_DURATION: dict[str, object] = {"type": "string", "examples": ["30s", "1m"]}
_WHOLE: dict[str, object] = {"type": "integer", "minimum": 0}

_WAIT = Parameter("wait", _DURATION, "How long to wait for a change after `revision`, at most 5m.")
_REVISION = Parameter(
    "revision",
    _WHOLE,
    "The revision of the answer that is known already. One that this agent has not given out is answered at once.",
)
_CHANGES = (
    "With `wait` the answer comes when something has changed after `revision`, or after the wait. As "
    "`text/event-stream`: the present state as events `put` without an id, `current` with one, then every change as "
    "`put` or `delete` with an id to resume from (`Last-Event-ID`); after `reset` the present state comes anew. A comment "
    "comes every 15 s. While the store is away, `Pillion-Stale` says for how many seconds registrations may have changed unseen."
)

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/services",
        role=Role.APP,
        handler=services.get_services,
        summary="Which services there are",
        description=f"Names, with how many instances of each status. {_CHANGES}",
        answers=(Answer(200, "The services.", ServiceList, (JSON, EVENT_STREAM)),),
        parameters=(_WAIT, _REVISION),
        refusals=(501, 503),
    ),
    Route(
        method="GET",
        path="/v1/services/{name}",
        role=Role.APP,
        handler=services.get_service,
        summary="Where a service is to be found",
        description="Its instances that can take work, those of the caller's own zone first. A service that nobody knows has "
        f"an empty list, so that one can wait for it. {_CHANGES}",
        answers=(Answer(200, "The instances.", ServiceAnswer, (JSON, EVENT_STREAM)),),
        parameters=(
            Parameter(
                "tag",
                {"type": "array", "items": {"type": "string"}},
                "Only instances with this tag. May be repeated: all of them.",
            ),
            Parameter("zone", _TEXT, "Only instances in this zone."),
            Parameter(
                "status",
                _TEXT,
                "Some of passing, warning and critical, with commas, or `any`; passing and warning when left out.",
            ),
            _WAIT,
            _REVISION,
        ),
        refusals=(501, 503),
    ),
    Route(
        method="PUT",
        path="/v1/services/{name}/instances/{id}",
        role=Role.APP,
        handler=services.put_instance,
        summary="Register an instance by hand",
        description="For what has no sidecar. With a `ttl` it ends unless it is put again within that time; putting what is "
        "there already writes nothing. What a sidecar announces under the same id hides it.",
        answers=(
            Answer(200, "It was there, and is as wanted now.", ServiceInstance),
            Answer(201, "It is there now.", ServiceInstance),
        ),
        body=services.Registration,
        refusals=(409, 415, 422, 501, 503, 507),
    ),
    Route(
        method="DELETE",
        path="/v1/services/{name}/instances/{id}",
        role=Role.APP,
        handler=services.delete_instance,
        summary="Take a registration away",
        description="One made by hand; what a sidecar announces goes with its app (409).",
        answers=(Answer(204, "It is gone.", media=()),),
        refusals=(404, 409, 501, 503),
    ),
)
