"""The part that measures processes and host when somebody asks for the metrics."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pillion.api.context import ASK_TIMEOUT_S
from pillion.errors import RefusedError, UnreachableError
from pillion.processes.agent_part import Part
from pillion.processes.agent_watchdog import AppProcesses

if TYPE_CHECKING:
    from pillion.processes.agent_part import Outfit
    from pillion.telemetry.instance_sampling import InstanceSampling
    from pillion.telemetry.measurement import Measurement


class SamplingPart(Part):
    """Gives the API what measures; it is made when the first one asks, and most instances are never asked."""

    def __init__(self, outfit: Outfit) -> None:
        self._control, self._context = outfit.control, outfit.context
        self._sampling: InstanceSampling | None = None
        outfit.context.measure = self._measure

    async def _measure(self) -> list[Measurement]:
        # Both at once: a keeper that is silent is waited for once.
        status, pids = await asyncio.gather(self._context.best_status(), self._app_pids())
        if status is None:
            return []
        from pillion.telemetry.instance_sampling import InstanceSampling, subjects

        if self._sampling is None:
            self._sampling = InstanceSampling()
        return await self._sampling.measurements(subjects(status, pids))

    async def _app_pids(self) -> list[int]:
        try:
            found = await self._control.call(
                "app-processes", {}, AppProcesses, timeout_s=ASK_TIMEOUT_S
            )
        except (UnreachableError, RefusedError):
            return []  # busy, or of another version: the main process is known
        return found.pids
