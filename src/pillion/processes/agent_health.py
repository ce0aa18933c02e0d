"""The agent's part for health: checks of the app, fed by what the keeper tells, and restarts through the keeper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.api.app_facts import app_facts
from pillion.api.context import ACT_TIMEOUT_S
from pillion.health.health import Health
from pillion.health.memory import Files
from pillion.health.outlet import Outlet
from pillion.lifecycle.readiness import APP
from pillion.processes.agent_part import Part

if TYPE_CHECKING:
    from pillion.model.component import Status
    from pillion.model.event import Json
    from pillion.model.stats import Stats
    from pillion.processes.agent_part import Outfit
    from pillion.settings import Settings


class HealthPart(Part):
    """Gives the API and the other parts `context.health`."""

    def __init__(self, outfit: Outfit) -> None:
        self._control = outfit.control
        files = Files(outfit.place.runtime_dir, outfit.place.state_dir)
        self._health = Health(
            outfit.tasks, Outlet(self._write), self._restart, files, outfit.place.run
        )
        self._health.settings(outfit.settings)
        outfit.context.health = self._health

    def enable(self) -> None:
        """Begin to check."""
        self._health.enable()

    def disable(self) -> None:
        """Check no more."""
        self._health.disable()

    def state(self, status: Status) -> None:
        """Follow the app."""
        self._health.app(app_facts(status))

    def settings(self, settings: Settings) -> None:
        """Take over other checks."""
        self._health.settings(settings)

    def stats(self) -> Stats:
        """What health counts."""
        return self._health.stats()

    def _write(self, kind: str, reason: str, data: dict[str, Json]) -> None:
        self._control.event(kind, reason, component=APP, data=data)

    async def _restart(self) -> None:
        await self._control.call("restart", {"name": APP}, msgspec.Raw, timeout_s=ACT_TIMEOUT_S)
