"""The rows of what the app hands in."""

from __future__ import annotations

from pillion.api import intake
from pillion.api.route import Answer, Role, Route
from pillion.logs.posting import LINE_BYTES

ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/v1/logs",
        role=Role.APP,
        handler=intake.post_logs,
        summary="Write records",
        description="NDJSON (one object a line) or plain text (one record a line), into a stream of its own, `api`, "
        "beside stdout and stderr: the same spool, the same recognition of level and time, the same shipping. At most "
        f"1 MiB, and {LINE_BYTES} bytes a line. All lines are checked first: with one wrong line nothing is taken. "
        "When the spool has no room for all, 503 with `Pillion-Taken`: how many were, from the first on.",
        answers=(Answer(202, "Taken.", intake.Taken),),
        media=intake.MEDIA,
        refusals=(415, 422, 501, 503),
    ),
)
