"""The agent's part for the ambassador: what settings, configuration, registry and keeper say becomes policy for the workers."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from pillion.keeper.places import PROXY_TOKEN
from pillion.processes.agent_part import Part

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pillion.ambassador.control_plane import ControlPlane
    from pillion.ambassador.probe import Probe
    from pillion.ambassador.snapshot import EndpointSpec
    from pillion.config.configuration import Configuration
    from pillion.discovery.instance import ServiceInstance
    from pillion.discovery.registry import Change
    from pillion.discovery.services import Services
    from pillion.model.component import Status
    from pillion.model.event import Json
    from pillion.model.stats import Stats
    from pillion.processes.agent_part import Outfit
    from pillion.settings import Settings
    from pillion.settings.upstreams import ActiveCheck, Upstream

COMPONENT = "ambassador"
PREFIX = f"{COMPONENT}/"
"""What configuration keys begin with that are policy (`pillion.ambassador.overlay`)."""

# With the store away and nothing kept, what the neighbours announce is all that there is to be known.
_REGISTRY_S = 3.0
_TOKEN_BYTES = 4096


class AmbassadorPart(Part):
    """Gives the API `context.ambassador`. Without anything for an ambassador to do it does nothing, until a reload says otherwise."""

    def __init__(self, outfit: Outfit, config: Configuration, services: Services) -> None:
        self._outfit = outfit
        self._config = config
        self._services = services
        self._settings = outfit.settings
        self._enabled = False
        self._known = False
        self._probe: Probe | None = None
        self._listeners: dict[str, str] = {}
        self._plane: ControlPlane | None = None

    def enable(self) -> None:
        """Be the one that workers ask."""
        self._enabled = True
        self._begin()

    def disable(self) -> None:
        """The next agent is asked from now on; until then workers go on with what they have."""
        self._enabled = False
        if self._plane is not None:
            self._plane.close()

    def state(self, status: Status) -> None:
        """Follow the keeper's listeners."""
        self._listeners = status.listeners
        if self._plane is not None:
            self._plane.listeners(status.listeners)

    def settings(self, settings: Settings) -> None:
        """Make policy of the new ones."""
        self._settings = settings
        if self._plane is not None:
            self._plane.settings(settings)
        self._begin()

    def stats(self) -> Stats:
        """What is counted, where there is an ambassador."""
        return {} if self._plane is None else self._plane.stats()

    async def close(self) -> None:
        """Hang up."""
        self.disable()

    def _begin(self) -> None:
        if not self._enabled or not self._settings.uses_ambassador or self._plane is not None:
            return
        # Not above: most agents have no ambassador, and a host may have hundreds of them.
        from pillion.ambassador.control_plane import ControlPlane, World

        outfit = self._outfit
        self._plane = plane = outfit.context.ambassador = ControlPlane(
            outfit.place.runtime_dir,
            outfit.place.instance,
            self._settings,
            outfit.tasks,
            World(self._instances, self._names, self._event, self._proxy_token, self._attempt),
        )
        if self._listeners:
            plane.listeners(self._listeners)
        plane.start()
        self._services.registry.on_change(self._registry_changed)
        self._config.on_change(self._keys_changed)
        if self._config.replica.loaded:
            plane.overlay(self._config.items(PREFIX))
        if self._services.registrations.as_of_s is not None:
            self._read()
        else:
            self._outfit.tasks.start("policy: wait for the registry", self._wait(), may_end=True)

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REGISTRY_S):
                await self._services.registrations.loaded()
        self._read()

    def _read(self) -> None:
        self._known = True
        if self._plane is not None:
            self._plane.changed()

    # What the plane asks for.

    def _instances(self, service: str) -> Iterable[ServiceInstance] | None:
        return self._services.registry.instances(service) if self._known else None

    def _names(self) -> Collection[str] | None:
        return self._services.registry.names if self._known else None

    def _proxy_token(self) -> str:
        try:
            with open(self._outfit.place.runtime(PROXY_TOKEN), encoding="ascii") as file:
                return file.read(_TOKEN_BYTES).strip()
        except (OSError, ValueError):
            return ""  # there is no proxy

    async def _attempt(self, upstream: Upstream, spec: EndpointSpec, check: ActiveCheck) -> str:
        if self._probe is None:
            from pillion.ambassador.probe import Probe

            self._probe = Probe()
        return await self._probe.attempt(upstream, spec, check)

    def _event(self, kind: str, reason: str, data: dict[str, Json]) -> None:
        self._outfit.control.event(kind, reason, component=COMPONENT, data=data)

    # What changes.

    def _registry_changed(self, change: Change) -> None:
        if self._plane is None:
            return
        policy = self._plane.policy
        if policy.settings.ambassador.proxy is not None or any(
            one.service == change.service for one in policy.upstreams.values()
        ):
            self._plane.changed()

    def _keys_changed(self, keys: frozenset[str]) -> None:
        if self._plane is not None and (not keys or any(k.startswith(PREFIX) for k in keys)):
            self._plane.overlay(self._config.items(PREFIX))
