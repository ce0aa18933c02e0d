"""What the templates of managed proxies can ask this agent for: configuration, discovery, environment, health and secrets, each as the rest of
the agent has it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import msgspec

from pillion.config.items import decoded
from pillion.errors import PillionError
from pillion.lifecycle.readiness import readiness
from pillion.proxies.templating.references import ABSENT, Member
from pillion.proxies.templating.sources import SourceError
from pillion.secrets.reading import AbsentError

if TYPE_CHECKING:
    from pillion.api.context import Context
    from pillion.base.tasks import RootTasks
    from pillion.config.configuration import Configuration
    from pillion.discovery.instance import ServiceInstance
    from pillion.discovery.registry import Change
    from pillion.discovery.services import Services
    from pillion.health.health import Health
    from pillion.proxies.templating.sources import Sources
    from pillion.secrets.secrets import Secrets

# What the neighbours announce is known at once; the store may take a moment, or be away.
_STORE_S = 3.0
# A network file system reports nothing: secrets are looked at that often besides.
_LOOK_S = 300.0


class ConfigSource:
    """Keys, over all layers. While the store is away the last known good is given."""

    def __init__(self, config: Configuration, sources: Sources) -> None:
        self._config = config
        config.on_change(lambda keys: sources.changed("config", keys))

    async def fetch(self, name: str) -> object:
        """The value of the key `name`."""
        await self._known(name)
        item = self._config.effective.get(name)
        if item is None:
            return ABSENT
        if item.omitted:
            raise SourceError(f"cannot read config {name}: its value is too large to be kept here")
        return decoded(item.value)

    def stale_s(self) -> int | None:
        """Since when the store could not be asked."""
        return self._config.replica.stale_s()

    async def _known(self, name: str) -> None:
        replica = self._config.replica
        if not replica.loaded:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STORE_S):
                    await replica.tried.wait()
        if not replica.loaded:
            raise SourceError(
                f"cannot read config {name}: the store is away and nothing is known from before; look at `pillion status`"
            )


class TreeSource(ConfigSource):
    """All keys that begin with something."""

    def __init__(self, config: Configuration) -> None:
        self._config = config  # changes are told by the keys' own source

    async def fetch(self, name: str) -> object:
        """The keys below `name`, without it, with their values."""
        await self._known(name)
        return {key[len(name) :]: value for key, value in self._config.items(name).items()}


class ServiceSource:
    """The members of services, whatever their status."""

    def __init__(self, services: Services, sources: Sources) -> None:
        self._services = services
        self._sources = sources
        services.registry.on_change(self._changed)

    async def fetch(self, name: str) -> object:
        """The members of the service `name`; one that listens nowhere is none."""
        registrations = self._services.registrations
        if registrations.as_of_s is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STORE_S):
                    await registrations.loaded()
        return tuple(
            _member(one) for one in self._services.registry.instances(name) if one.port != 0
        )

    def stale_s(self) -> int | None:
        """Since when registrations may have changed unseen."""
        return self._services.stale_s

    def _changed(self, change: Change) -> None:
        if _served(change.old) != _served(change.new):
            self._sources.changed("service", frozenset({change.service}))


def _member(one: ServiceInstance) -> Member:
    return Member(
        id=one.id,
        address=one.address,
        port=one.port,
        weight=one.weight,
        status=one.status,
        zone=one.zone,
        tags=one.tags,
    )


def _served(one: ServiceInstance | None) -> Member | None:
    """What a proxy sees of it: a lease that is renewed is no change."""
    return None if one is None or one.port == 0 else _member(one)


class EnvironmentSource:
    """The facts about host, container, pod and cloud, as they were when they were first asked for."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: object = None

    async def fetch(self, _name: str) -> object:
        """All of them."""
        if self._known is None:
            surroundings = self._context.surroundings
            assert surroundings is not None, "the agent has this part"
            try:
                facts = await surroundings.describe(await self._context.best_status())
            except PillionError as error:
                raise SourceError(f"{error}") from error
            self._known = msgspec.to_builtins(facts)
        return self._known

    def stale_s(self) -> int | None:
        """Facts of the start do not age."""
        return None


class HealthSource:
    """The app's health with its checks, and whether it can take work."""

    def __init__(self, context: Context, health: Health, sources: Sources) -> None:
        self._context = context
        self._health = health
        health.on_change(lambda _status: sources.changed("health", frozenset()))

    async def fetch(self, _name: str) -> object:
        """What `GET /v1/health` answers, and `ready`."""
        status = self._context.state
        report = msgspec.to_builtins(self._health.report())
        assert isinstance(report, dict)
        return {**report, "ready": status is not None and readiness(status).ready}

    def stale_s(self) -> int | None:
        """It is our own."""
        return None


class SecretSource:
    """Secrets by name, with the operator's rights: the settings name the template."""

    def __init__(self, secrets: Secrets, sources: Sources, tasks: RootTasks) -> None:
        self._secrets = secrets
        self._sources = sources
        self._tasks = tasks
        self._task: asyncio.Task[None] | None = None
        self._names: frozenset[str] = frozenset()

    async def fetch(self, name: str) -> object:
        """The text of the secret `name`, without the line feed that an editor ends a file with."""
        try:
            value, _ = await self._secrets.read(self._secrets.place(name, operator=True))
            text = value.data.decode()
        except AbsentError:
            return ABSENT
        except UnicodeDecodeError:
            raise SourceError(
                f"cannot use the secret {name} in a template: it is no text in UTF-8"
            ) from None
        except PillionError as error:
            raise SourceError(f"{error}") from error
        return text.removesuffix("\n").removesuffix("\r")

    def stale_s(self) -> int | None:
        """A secret that cannot be read has no value."""
        return None

    def watch(self, names: frozenset[str]) -> None:
        """Follow secrets while there are some to follow."""
        self._names = names
        if names and self._task is None:
            self._task = self._tasks.start("proxies: follow secrets", self._follow(), may_end=True)
        elif not names:
            self.close()

    def close(self) -> None:
        """Follow none."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _follow(self) -> None:
        while True:
            try:
                # The first are all of them: one may have changed between its reading and this.
                async for some in self._secrets.changes(None, operator=True, look_s=_LOOK_S):
                    names = frozenset(one.name for one in some or ()) & self._names
                    if names:
                        self._sources.changed("secret", names)
            except PillionError:
                # Their file system hangs; whoever reads one is told so.
                await asyncio.sleep(_LOOK_S)
