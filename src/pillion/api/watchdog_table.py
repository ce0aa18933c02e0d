"""The route of the watchdog."""

from __future__ import annotations

from pillion.api import watchdog
from pillion.api.route import Answer, Role, Route

ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/v1/watchdog",
        role=Role.APP,
        handler=watchdog.post_heartbeat,
        summary="Show that the app lives",
        description="A heartbeat, as WATCHDOG=1 by sd_notify. Without one for `app.watchdog.timeout` the app is taken for "
        "hung: its threads are reported, it gets SIGABRT, then SIGKILL, and is started again as `app.restart` says. With "
        "`trigger` that happens at once.",
        answers=(Answer(200, "Heard.", watchdog.WatchdogFacts),),
        body=watchdog.Heartbeat,
        refusals=(409, 415, 422, 504),
    ),
)
