"""The part that takes what the app posts: it holds the agent's end of the stream, when the keeper gave one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.logs.inlet import Inlet
from pillion.processes.agent_part import Part

if TYPE_CHECKING:
    from pillion.model.stats import Stats
    from pillion.processes.agent_part import Outfit

# The name of the descriptor in `Place.fds`.
DESCRIPTOR = "logs"


class PostedLogs(Part):
    """Puts the inlet into the API's context; a keeper of an earlier version gives none."""

    def __init__(self, outfit: Outfit) -> None:
        descriptor = outfit.place.fds.get(DESCRIPTOR)
        self._inlet = None if descriptor is None else Inlet(descriptor)
        outfit.context.inlet = self._inlet

    def stats(self) -> Stats:
        """What was taken and refused."""
        return {} if self._inlet is None else self._inlet.stats()

    async def close(self) -> None:
        """Give the descriptor back; the keeper has its own."""
        if self._inlet is not None:
            self._inlet.close()
