"""The table of routes: everything that the API can do, in one place. Dispatch and OpenAPI are made from it."""

from __future__ import annotations

from pillion.api import components, document, health, instance, journal, records
from pillion.api.ambassador_table import ROUTES as AMBASSADOR
from pillion.api.checks_table import ROUTES as CHECKS
from pillion.api.config_table import ROUTES as CONFIG
from pillion.api.environment_table import ROUTES as ENVIRONMENT
from pillion.api.intake_table import ROUTES as INTAKE
from pillion.api.locks_table import ROUTES as LOCKS
from pillion.api.proxies_table import ROUTES as PROXIES
from pillion.api.route import (
    EVENT_STREAM,
    JSON,
    METRICS,
    NDJSON,
    Answer,
    Parameter,
    Role,
    Route,
)
from pillion.api.secrets_table import ROUTES as SECRETS
from pillion.api.services_table import ROUTES as SERVICES
from pillion.api.watchdog_table import ROUTES as WATCHDOG
from pillion.lifecycle.limits import LimitsChange
from pillion.lifecycle.readiness import Readiness
from pillion.lifecycle.reload import ReloadAnswer
from pillion.lifecycle.upgrade import UpgradeAnswer, UpgradeRequest
from pillion.model.component import Component, Overview

_TEXT: dict[str, object] = {"type": "string"}
_FLAG: dict[str, object] = {"type": "boolean", "default": False}
_TIME: dict[str, object] = {"type": "string", "examples": ["10m", "2026-01-31T12:00:00Z"]}


def _limit(default: int, most: int) -> Parameter:
    schema: dict[str, object] = {
        "type": "integer",
        "minimum": 1,
        "maximum": most,
        "default": default,
    }
    return Parameter("limit", schema, "How many of the last that match.")


_FOLLOW = Parameter("follow", _FLAG, "Go on with what comes, until the client closes.")
_SINCE = Parameter("since", _TIME, "A duration that has passed (`10m`), or an RFC 3339 time.")
_RUN = Parameter("run", _TEXT, "A run's id, or `all`; the present run when left out.")

_FOLLOWING = (
    "With `follow` the answer goes on as NDJSON, or as server-sent events when `Accept` names "
    "`text/event-stream`, with a comment every 15 s. It ends when the agent is replaced: connect again."
)
_ACTION_REFUSALS = (404, 409, 415, 422, 504)

_ACTED = (
    Answer(200, "What it is then.", Component),
    Answer(202, "It is the agent itself that goes; this is its last answer.", Component),
)

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/livez",
        role=Role.PUBLIC,
        handler=health.livez,
        summary="Is the agent alive?",
        description="200 as long as the agent's loop turns.",
        answers=(Answer(200, "Alive.", health.Alive),),
        probe=True,
    ),
    Route(
        method="GET",
        path="/readyz",
        role=Role.PUBLIC,
        handler=health.readyz,
        summary="Can the instance take work?",
        description="200 when the app runs and is ready; otherwise 503, with the reasons in `problems`.",
        answers=(Answer(200, "Ready.", Readiness),),
        refusals=(503,),
        probe=True,
    ),
    Route(
        method="GET",
        path="/metrics",
        role=Role.APP,
        handler=health.metrics,
        summary="Metrics of every process",
        description="Prometheus' text format: state, restarts, memory, CPU and limits of keeper, scribe, app and "
        "sidecar, and what each counts itself.",
        answers=(Answer(200, "The metrics.", media=(METRICS,)),),
    ),
    Route(
        method="GET",
        path="/v1/openapi.json",
        role=Role.PUBLIC,
        handler=document.get_document,
        summary="This document",
        description="OpenAPI 3.1, made from the table that dispatches the requests.",
        answers=(Answer(200, "The document."),),
    ),
    Route(
        method="GET",
        path="/v1/components",
        role=Role.APP,
        handler=components.get_components,
        summary="The processes of the instance",
        description="State, pid, restarts, limits and by which means they hold, usage, last exit and own counts of "
        "each; and the instance, its run and its keeper.",
        answers=(Answer(200, "The components.", Overview),),
        refusals=(504,),
    ),
    Route(
        method="POST",
        path="/v1/components/{name}/restart",
        role=Role.OPERATOR,
        handler=components.restart,
        summary="Restart a component",
        description="Stops it in order and starts it again, whatever its restart policy.",
        answers=_ACTED,
        body=components.Nothing,
        refusals=_ACTION_REFUSALS,
    ),
    Route(
        method="POST",
        path="/v1/components/{name}/stop",
        role=Role.OPERATOR,
        handler=components.stop,
        summary="Stop a component",
        description="It stays stopped until it is started; the instance goes on.",
        answers=_ACTED,
        body=components.Nothing,
        refusals=_ACTION_REFUSALS,
    ),
    Route(
        method="POST",
        path="/v1/components/{name}/start",
        role=Role.OPERATOR,
        handler=components.start,
        summary="Start a component",
        description="One that was stopped, or that has failed for good.",
        answers=_ACTED,
        body=components.Nothing,
        refusals=_ACTION_REFUSALS,
    ),
    Route(
        method="POST",
        path="/v1/components/{name}/signal",
        role=Role.OPERATOR,
        handler=components.send_signal,
        summary="Send a signal to a component",
        description="To the app's whole group, to another component's process.",
        answers=_ACTED,
        body=components.SignalRequest,
        refusals=_ACTION_REFUSALS,
    ),
    Route(
        method="PATCH",
        path="/v1/components/{name}/limits",
        role=Role.OPERATOR,
        handler=components.change_limits,
        summary="Change a component's limits while it runs",
        description="What the body does not name stays as it is; null lifts a limit. They hold until the next start.",
        answers=(Answer(200, "The component with its limits.", Component),),
        body=LimitsChange,
        refusals=_ACTION_REFUSALS,
    ),
    Route(
        method="GET",
        path="/v1/logs",
        role=Role.APP,
        handler=records.get_logs,
        summary="What the app wrote",
        description=f"The last records that match, oldest first. {_FOLLOWING}",
        answers=(Answer(200, "The records.", records.RecordList, (JSON, NDJSON, EVENT_STREAM)),),
        parameters=(
            _FOLLOW,
            _SINCE,
            Parameter("until", _TIME, "As `since`, for the end."),
            Parameter(
                "level", _TEXT, "Leave out what is below: trace, debug, info, warn, error, fatal."
            ),
            Parameter("grep", _TEXT, "A regular expression, searched in the line."),
            Parameter(
                "stream",
                {"type": "array", "items": {"enum": list(records.STREAMS)}},
                "Which streams; stdout, stderr and api (what was posted) when left out. May be repeated.",
            ),
            _RUN,
            _limit(records.LIMIT, records.MOST),
        ),
        refusals=(503,),
    ),
    Route(
        method="GET",
        path="/v1/events",
        role=Role.APP,
        handler=journal.get_events,
        summary="The journal",
        description=f"What happened to every component, and why, oldest first. {_FOLLOWING}",
        answers=(Answer(200, "The events.", journal.EventList, (JSON, NDJSON, EVENT_STREAM)),),
        parameters=(
            _FOLLOW,
            _SINCE,
            Parameter("kind", _TEXT, "Only events of this kind, such as `exited`."),
            Parameter("component", _TEXT, "Only events of this component."),
            _RUN,
            _limit(journal.LIMIT, journal.MOST),
        ),
        refusals=(503,),
    ),
    Route(
        method="POST",
        path="/v1/reload",
        role=Role.OPERATOR,
        handler=instance.reload,
        summary="Read the settings again",
        description="Applies what can be applied while everything runs, and says what needs a restart. With one "
        "problem in the file nothing changes: 422, and `problems` lists all of them.",
        answers=(Answer(200, "What was applied.", ReloadAnswer),),
        body=components.Nothing,
        refusals=(409, 415, 422, 501, 504),
    ),
    Route(
        method="POST",
        path="/v1/upgrade",
        role=Role.OPERATOR,
        handler=instance.upgrade,
        summary="Replace the sidecar by another version",
        description="Each new process starts beside the old one and takes over when it is ready; when it does not "
        "become ready, the old one carries on and the answer says why. A second upgrade meanwhile is refused: 409.",
        answers=(
            Answer(200, "Replaced.", UpgradeAnswer),
            Answer(202, "The agent has been replaced; the rest is under way.", UpgradeAnswer),
        ),
        body=UpgradeRequest,
        refusals=(409, 415, 422, 500, 504),
    ),
    Route(
        method="POST",
        path="/v1/shutdown",
        role=Role.OPERATOR,
        handler=instance.shutdown,
        summary="Stop the instance in order",
        description="The app first, then the sidecar with its final flush.",
        answers=(Answer(202, "The stop has begun.", instance.ShutdownAnswer),),
        body=components.Nothing,
        refusals=(415, 422, 504),
    ),
    *CHECKS,
    *INTAKE,
    *ENVIRONMENT,
    *SECRETS,
    *CONFIG,
    *LOCKS,
    *SERVICES,
    *WATCHDOG,
    *AMBASSADOR,
    *PROXIES,
)
