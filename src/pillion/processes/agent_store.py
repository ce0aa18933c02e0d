"""The agent's part for the store: one engine for all that keep something in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.config.known import has_values
from pillion.processes.agent_part import Part
from pillion.store.place import store_path
from pillion.store.sqlite import Options, SqliteStore

if TYPE_CHECKING:
    from pillion.model.event import Json
    from pillion.model.stats import Stats
    from pillion.processes.agent_part import Outfit
    from pillion.store.interface import Health


class StorePart(Part):
    """Gives the other parts `store`, which is opened when this agent is in charge."""

    def __init__(self, outfit: Outfit) -> None:
        wanted = outfit.settings.store
        self._tasks = outfit.tasks
        self._control = outfit.control
        self._trouble = ""
        self.store = SqliteStore(
            Options(
                path=store_path(wanted.url),
                sync=wanted.sync,
                create=not has_values(outfit.place.state_dir, wanted.url),
                size_bytes=wanted.size_bytes,
                revisions=wanted.history.revisions,
                age_s=wanted.history.age_s,
            ),
            outfit.neighbours,
            outfit.tasks,
        )
        self.store.on_health(self._enter)

    def enable(self) -> None:
        """Open it; one that is away is tried again."""
        self._tasks.start("open the store", self.store.start(), may_end=True)

    def disable(self) -> None:
        """A successor watches the leases from now on."""
        self.store.retire()

    def stats(self) -> Stats:
        """What the store counts."""
        return self.store.stats

    async def close(self) -> None:
        """Close it."""
        await self.store.close()

    def _enter(self, health: Health) -> None:
        """Tell the journal when the store fails, when it fails for another reason, and when it is back."""
        trouble = "" if health.readable and health.writable else health.reason
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble:
            data: dict[str, Json] = {"readable": health.readable, "writable": health.writable}
            self._control.event("store-unavailable", trouble, data=data)
        else:
            self._control.event("store-available", f"the store {self.store.path} is back")
