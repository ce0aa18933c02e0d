"""The routes of health."""

from __future__ import annotations

from pillion.api import checks
from pillion.api.route import Answer, Parameter, Role, Route
from pillion.health.check import KINDS
from pillion.health.report import CheckReport, HealthReport

_KIND = Parameter(
    "kind",
    {"enum": list(KINDS)},
    "Only checks of this kind. `readiness` is the app's own readiness, the start-up checks and the readiness checks; "
    "`liveness` is passing until the start-up checks have passed.",
)
_TOLD = (Answer(200, "The check as it is then.", CheckReport),)
_TELLING = "For a check of the sort ttl, and in force at once. Repeat it within the check's ttl."


def _word(word: str, handler: object, summary: str) -> Route:
    assert callable(handler)
    return Route(
        method="POST",
        path=f"/v1/health/checks/{{name}}/{word}",
        role=Role.APP,
        handler=handler,
        summary=summary,
        description=f"{_TELLING} The body may have an `output`.",
        answers=_TOLD,
        body=checks.Said,
        refusals=(404, 409, 415, 422, 501, 503),
    )


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/health",
        role=Role.APP,
        handler=checks.get_health,
        summary="Is the app healthy?",
        description="One word for load balancers, the worst of the app itself and of its checks: 200 for `passing` and "
        "`warning`, 503 for `critical`. On `api.probe_listen` it needs no token, and answers the word alone.",
        answers=(
            Answer(200, "Passing, or warning.", HealthReport),
            Answer(503, "Critical; the body is the same.", HealthReport),
        ),
        parameters=(_KIND,),
        refusals=(501,),
        probe=True,
    ),
    Route(
        method="PUT",
        path="/v1/health/checks/{name}",
        role=Role.APP,
        handler=checks.put_check,
        summary="Register a check",
        description="The words are those of `[health.checks.NAME]`. It is made at once, and counts from then on: a "
        "readiness check is critical until it has passed. It ends with the app's process unless it is `persistent`. "
        "A check that runs a command is for the operator.",
        answers=(
            Answer(200, "It was there, and is as said now.", CheckReport),
            Answer(201, "It is new.", CheckReport),
        ),
        body=checks.CheckRequest,
        refusals=(409, 415, 422, 501, 503, 504),
    ),
    _word("pass", checks.tell_pass, "Say that it is well"),
    _word("warn", checks.tell_warn, "Say that it works, but somebody should look"),
    _word("fail", checks.tell_fail, "Say that it does not work"),
    Route(
        method="DELETE",
        path="/v1/health/checks/{name}",
        role=Role.APP,
        handler=checks.delete_check,
        summary="Remove a registered check",
        description="Those of the settings are removed there.",
        answers=(Answer(204, "It is gone.", media=()),),
        refusals=(404, 409, 501, 503),
    ),
)
