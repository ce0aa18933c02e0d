"""The agent's part for configuration: whose layers they are, and where it enters what was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.config.configuration import Configuration
from pillion.config.keys import Scopes
from pillion.processes.agent_part import Part

if TYPE_CHECKING:
    from pillion.model.event import Json
    from pillion.model.stats import Stats
    from pillion.processes.agent_part import Outfit
    from pillion.store.interface import Store


class ConfigPart(Part):
    """Configuration over `store`, which is started by whoever made it; `outfit.context` is given the facade."""

    def __init__(self, outfit: Outfit, store: Store) -> None:
        settings, instance = outfit.settings, outfit.place.instance
        self._control = outfit.control
        scopes = Scopes(
            settings.config.environment,
            settings.service.name or settings.app.name or instance,
            instance,
        )
        self.config = Configuration(
            store,
            scopes,
            outfit.tasks,
            self._enter,
            state_dir=outfit.place.state_dir,
            source=settings.store.url,
        )
        outfit.context.config = self.config

    def enable(self) -> None:
        """Follow the store."""
        self.config.start()

    async def prepare(self) -> None:
        """The app may read from its first moment on: wait until the store has been asked."""
        await self.config.replica.tried.wait()

    def disable(self) -> None:
        """What is kept on disk was true until now."""
        self.config.retire()

    def stats(self) -> Stats:
        """What configuration counts."""
        return self.config.stats()

    def _enter(self, kind: str, reason: str, data: dict[str, Json]) -> None:
        self._control.event(kind, reason, data=data)
