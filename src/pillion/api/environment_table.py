"""The row of the environment."""

from __future__ import annotations

from pillion.api import environment
from pillion.api.route import Answer, Role, Route
from pillion.environment.facts import Environment

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/environment",
        role=Role.APP,
        handler=environment.get_environment,
        summary="Where the app runs",
        description="Host, kernel, processors, memory, disks and addresses; container, pod and cloud instance where there "
        "is one; the app's process, user and resource limits; the limits in force and by which means; the sidecar. Never "
        "an environment variable's value, a credential, or what a metadata service keeps for somebody.",
        answers=(Answer(200, "The facts.", Environment),),
        refusals=(501, 504),
    ),
)
