"""The app as the keeper tells of it, in health's words; apart from the handlers, since the agent needs it before it has any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.health.app import AppFacts
from pillion.lifecycle.readiness import APP, readiness

if TYPE_CHECKING:
    from pillion.model.component import Status

_RUNNING = ("starting", "running")


def app_facts(status: Status) -> AppFacts:
    """The app as health sees it, from what the keeper told."""
    app = status.component(APP)
    if app is None or app.pid is None:
        return AppFacts(reasons=tuple(readiness(status).reasons))
    return AppFacts(
        identity=f"{app.pid} {app.started}",
        runs=app.state in _RUNNING,
        reasons=tuple(readiness(status).reasons),
    )
