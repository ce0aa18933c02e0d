"""The agent's part for managed proxies: they are this agent's from `enable` on, and of the next one's as soon as they have come to a safe place."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from pillion.errors import PillionError
from pillion.processes.agent_part import Part

if TYPE_CHECKING:
    from pillion.config.configuration import Configuration
    from pillion.discovery.services import Services
    from pillion.model.component import Status
    from pillion.model.event import Json
    from pillion.model.stats import Stats
    from pillion.processes.agent_offload import Precompressing
    from pillion.processes.agent_part import Outfit
    from pillion.processes.agent_proxy_files import FileSource
    from pillion.processes.agent_proxy_sources import SecretSource
    from pillion.processes.agent_proxy_world import Proxies
    from pillion.proxies.fleet import Fleet
    from pillion.proxies.templating.sources import Sources
    from pillion.settings import Settings
    from pillion.settings.proxies import ManagedProxy

# Of the time that the agent has for everything at its end.
_CLOSE_S = 0.8
_ASK_AGAIN_S = 0.5


class ProxiesPart(Part):
    """Gives the API `context.proxies`. Without a proxy it does nothing, until a reload says otherwise."""

    def __init__(self, outfit: Outfit, config: Configuration, services: Services) -> None:
        self._outfit = outfit
        self._config = config
        self._services = services
        self._settings = outfit.settings
        self._enabled = False
        self._fleet: Fleet | None = None
        self._proxies: Proxies | None = None
        self._compressing: Precompressing | None = None
        self._secrets: SecretSource | None = None
        self._files: FileSource | None = None

    def enable(self) -> None:
        """Begin. The app's start waits for none of it."""
        self._enabled = True
        self._compress()
        self._begin()

    def disable(self) -> None:
        """Let the next agent have them; what they run on is in place whether there is an agent or not."""
        self._enabled = False
        self._compress()
        if self._fleet is not None:
            self._fleet.end()
        if self._secrets is not None:
            self._secrets.close()
        if self._files is not None:
            self._files.close()

    def drain(self, pid: int) -> float:
        """Nothing more is to be sent to the app."""
        if self._proxies is not None and self._fleet is not None:
            self._proxies.draining = pid
            self._proxies.follow_app()
            self._fleet.look_at_facts()
        return 0.0

    def state(self, status: Status) -> None:
        """Follow the keeper."""
        if self._proxies is not None and self._enabled:
            self._proxies.follow_app()
        if self._fleet is not None:
            self._fleet.status(status)

    def settings(self, settings: Settings) -> None:
        """Manage others, or the same otherwise."""
        self._settings = settings
        if self._proxies is not None:
            self._proxies.settings = settings
        self._compress()
        if self._fleet is None:
            self._begin()
        elif self._enabled:
            self._fleet.settings(self._wanted())

    def stats(self) -> Stats:
        """What is counted, where there are proxies."""
        return {} if self._fleet is None else self._fleet.stats()

    async def close(self) -> None:
        """Wait, for a moment, until everything is at a safe place."""
        self.disable()
        if self._fleet is not None:
            await self._fleet.close(_CLOSE_S)

    def _begin(self) -> None:
        if self._enabled and self._settings.uses_proxies and self._fleet is None:
            # Not above: most agents have no proxy, and a host may have hundreds of them.
            from pillion.processes.agent_proxy_world import Proxies
            from pillion.proxies.fleet import Fleet

            self._proxies = proxies = Proxies(self._outfit, self._sources())
            proxies.settings = self._settings
            self._fleet = fleet = Fleet(self._outfit.tasks, self._enter, proxies.world)
            fleet.settings(self._wanted())
            self._outfit.context.proxies = fleet
            if self._outfit.context.health is not None:
                self._outfit.context.health.on_change(lambda _status: fleet.look_at_facts())
            self._outfit.tasks.start("proxies: begin", self._meet(fleet), may_end=True)

    def _compress(self) -> None:
        """Files of the offload are compressed by the agent in charge."""
        offload = self._settings.offload if self._enabled else None
        if self._compressing is None and offload is not None and offload.precompress:
            from pillion.processes.agent_offload import Precompressing

            state = self._outfit.place.state(os.path.join("proxies", offload.as_proxy().name))
            self._compressing = Precompressing(state, self._outfit.tasks)
        if self._compressing is not None:
            self._compressing.follow(offload)

    async def _meet(self, fleet: Fleet) -> None:
        """Which of them run has to be known before anything is done to them."""
        while self._enabled and self._outfit.context.state is None:
            try:
                await self._outfit.context.fresh_status()
            except PillionError:
                await asyncio.sleep(_ASK_AGAIN_S)
        if self._enabled and self._proxies is not None:
            self._proxies.follow_app()
            fleet.begin()

    def _wanted(self) -> list[tuple[ManagedProxy, object]]:
        wanted: list[tuple[ManagedProxy, object]] = [(one, None) for one in self._settings.proxies]
        offload = self._settings.offload
        if offload is not None:
            # Its configuration is made of these instead of templates.
            settings = self._settings
            wanted.append(
                (offload.as_proxy(), (offload, settings.inbound is None, settings.ambassador.http))
            )
        return wanted

    def _sources(self) -> Sources:
        from pillion.processes import agent_proxy_sources as adapters
        from pillion.processes.agent_proxy_files import FileSource
        from pillion.proxies.templating.sources import Sources

        context, tasks = self._outfit.context, self._outfit.tasks
        sources = Sources()
        sources.add("config", adapters.ConfigSource(self._config, sources))
        sources.add("tree", adapters.TreeSource(self._config))
        sources.add("service", adapters.ServiceSource(self._services, sources))
        sources.add("environment", adapters.EnvironmentSource(context))
        if context.health is not None:
            sources.add("health", adapters.HealthSource(context, context.health, sources))
        self._files = files = FileSource(sources, tasks)
        sources.add("file", files, files)
        if context.secrets is not None:
            self._secrets = secrets = adapters.SecretSource(context.secrets, sources, tasks)
            sources.add("secret", secrets, secrets)
        return sources

    def _enter(self, kind: str, component: str, reason: str, data: dict[str, Json]) -> None:
        self._outfit.control.event(kind, reason, component=component, data=data)
