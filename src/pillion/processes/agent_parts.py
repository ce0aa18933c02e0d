"""The parts of the agent, in the order in which they are enabled; they are closed in the reverse of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pillion.processes.agent_ambassador import AmbassadorPart
from pillion.processes.agent_config import ConfigPart
from pillion.processes.agent_discovery import DiscoveryPart
from pillion.processes.agent_environment import EnvironmentFacts
from pillion.processes.agent_health import HealthPart
from pillion.processes.agent_intake import PostedLogs
from pillion.processes.agent_locks import LocksPart
from pillion.processes.agent_part import Part
from pillion.processes.agent_projection import ProjectionPart
from pillion.processes.agent_proxies import ProxiesPart
from pillion.processes.agent_readiness import AppProbe
from pillion.processes.agent_sampling import SamplingPart
from pillion.processes.agent_secrets import SecretsPart
from pillion.processes.agent_store import StorePart
from pillion.processes.agent_watchdog import WatchdogPart

if TYPE_CHECKING:
    from pillion.base.neighbours import Neighbours
    from pillion.processes.agent_part import Outfit


class Neighbourhood(Part):
    """Who else is on this host; before all others, since they ask it."""

    def __init__(self, neighbours: Neighbours) -> None:
        self._neighbours = neighbours

    def enable(self) -> None:
        """Begin to listen."""
        try:
            self._neighbours.start()
        except OSError as error:
            sys.stderr.write(f"pillion-agent: cannot bind the bell: {error}\n")

    async def close(self) -> None:
        """Stop listening."""
        self._neighbours.close()


def make_parts(outfit: Outfit) -> tuple[Part, ...]:
    """Every part of the agent."""
    store = StorePart(outfit)
    config = ConfigPart(outfit, store.store)
    health = HealthPart(outfit)
    discovery = DiscoveryPart(outfit, store.store, outfit.context.health)
    return (
        Neighbourhood(outfit.neighbours),
        store,
        config,
        ProjectionPart(outfit, config.config),
        SecretsPart(outfit),
        LocksPart(outfit, store.store),
        health,
        discovery,
        AmbassadorPart(outfit, config.config, discovery.services),
        ProxiesPart(outfit, config.config, discovery.services),
        AppProbe(outfit.control, outfit.settings.app, outfit.tasks),
        PostedLogs(outfit),
        EnvironmentFacts(outfit),
        SamplingPart(outfit),
        WatchdogPart(outfit),
    )
