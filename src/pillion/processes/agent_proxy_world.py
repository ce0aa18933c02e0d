"""What one managed proxy is managed with in this agent: who runs its process, where its files are, which driver speaks to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

import msgspec

from pillion.api.context import ACT_TIMEOUT_S
from pillion.errors import PillionError, RefusedError
from pillion.health.check import CRITICAL
from pillion.lifecycle.readiness import APP, readiness
from pillion.proxies.applying.world import World
from pillion.proxies.files.site import Site
from pillion.proxies.outside import Outside
from pillion.proxies.templating.facts import EMPTY, Facts
from pillion.proxies.templating.templates import Templates, render
from pillion.settings.offload import OFFLOAD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.api.context import Context
    from pillion.model.component import Component
    from pillion.processes.agent_offload import Gate
    from pillion.processes.agent_part import Outfit
    from pillion.proxies.driver import Driver, Runner
    from pillion.proxies.templating.facts import ProxyKind
    from pillion.proxies.templating.making import Renderer
    from pillion.proxies.templating.references import Reference
    from pillion.proxies.templating.rendered import Missing, Rendered
    from pillion.proxies.templating.sources import Sources
    from pillion.settings import Settings
    from pillion.settings.proxies import ManagedProxy

KEEPER = "keeper"
_ALIVE = frozenset({"starting", "running"})
_CONFLICT = 409


class KeeperRunner:
    """A proxy that the keeper runs as a component."""

    def __init__(self, name: str, context: Context) -> None:
        self._name = name
        self._context = context

    async def start(self) -> None:
        """Have the keeper start it and keep it from then on."""
        try:
            await self._call("start", {"name": self._name})
        except RefusedError as refused:
            if refused.status != _CONFLICT:  # it runs already
                raise
        await self._context.fresh_status()

    async def signal(self, name: str) -> None:
        """Send its master a signal."""
        await self._call("signal", {"name": self._name, "signal": name})

    async def stop(self) -> None:
        """Have it ended: nothing that it could serve was ever good."""
        with contextlib.suppress(PillionError):
            await self._call("stop", {"name": self._name})
            await self._context.fresh_status()

    def running(self) -> int | None:
        """Its master's pid, as the keeper told it last."""
        component = self._component()
        alive = component is not None and component.state in _ALIVE
        return component.pid if component is not None and alive else None

    def _component(self) -> Component | None:
        status = self._context.state
        return None if status is None else status.component(self._name)

    async def _call(self, method: str, parameters: Mapping[str, str]) -> None:
        await self._context.control.call(method, parameters, msgspec.Raw, timeout_s=ACT_TIMEOUT_S)


class Proxies:
    """Makes what each proxy is managed with, from the settings in force."""

    def __init__(self, outfit: Outfit, sources: Sources) -> None:
        self._outfit = outfit
        self._sources = sources
        self.settings: Settings = outfit.settings
        self.draining = 0
        self._gate: Gate | None = None

    @property
    def app_is_ready(self) -> bool:
        """Whether the app can take work, and is not about to be stopped."""
        status = self._outfit.context.state
        app = None if status is None else status.component(APP)
        health = self._outfit.context.health
        return (
            app is not None
            and app.pid != self.draining
            and readiness(status).ready
            and (health is None or health.status != CRITICAL)
        )

    def follow_app(self) -> None:
        """Let the offload send work to the app, or none."""
        if self.settings.offload is None:
            return
        if self._gate is None:
            from pillion.processes.agent_offload import Gate

            self._gate = Gate(self._outfit.place.state(os.path.join("proxies", OFFLOAD)))
            health = self._outfit.context.health
            if health is not None:
                health.on_change(lambda _status: self.follow_app())
        self._gate.set(is_open=self.app_is_ready)

    def world(self, proxy: ManagedProxy) -> World:
        """What `proxy` is managed with."""
        renderer = self._renderer(proxy)
        keeper = KeeperRunner(proxy.name, self._outfit.context)
        if proxy.run == KEEPER:
            runner: Runner = keeper
            stop = keeper.stop
        else:
            runner = Outside(proxy.name, proxy.kind, pid_file=proxy.pid_file, reload=proxy.reload)
            stop = _leave_alone
        site = self.site(proxy)
        return World(
            settings=proxy,
            site=site,
            driver=self._driver(proxy, site, runner),
            sources=self._sources,
            render=renderer,
            facts=lambda: self.facts(proxy, site),
            stop=stop,
            clock=asyncio.get_running_loop().time,
        )

    def site(self, proxy: ManagedProxy) -> Site:
        """Where its files are."""
        state = self._outfit.place.state(os.path.join("proxies", proxy.name))
        ours = proxy.run == KEEPER
        directory = proxy.directory if not ours and proxy.directory else f"{state}/conf"
        return Site(proxy.name, os.path.abspath(directory), state, ours)

    def facts(self, proxy: ManagedProxy, site: Site) -> Facts:
        """What its templates know without asking, as it is now."""
        settings, place = self.settings, self._outfit.place
        status = self._outfit.context.state
        return Facts(
            name=proxy.name,
            kind=_kind(proxy),
            directory=site.directory,
            runtime_dir=place.runtime_dir,
            state_dir=site.state,
            service=settings.service.name or settings.app.name or place.instance,
            instance=place.instance,
            proof_path=self._socket(proxy, "proof"),
            admin_path=self._admin(proxy),
            empty_path=EMPTY if site.ours else self._socket(proxy, "empty"),
            proves=proxy.prove,
            app_port=settings.app.port,
            old_workers_s=proxy.old_workers_s,
            old_workers=proxy.old_workers,
            listeners={} if status is None else status.listeners,
            ready=self.app_is_ready,
        )

    def _renderer(self, proxy: ManagedProxy) -> Renderer:
        if proxy.name == OFFLOAD and self.settings.offload is not None:
            from pillion.processes.agent_offload import OffloadRenderer

            return OffloadRenderer(self.settings, self.settings.offload)
        templates = Templates(
            _kind(proxy), (proxy.main_file, proxy.template), proxy.files, proxy.values
        )

        def renderer(values: Mapping[Reference, object], facts: Facts) -> Rendered | Missing:
            return render(templates, values, facts)

        return renderer

    def _driver(self, proxy: ManagedProxy, site: Site, runner: Runner) -> Driver:
        proof = self._socket(proxy, "proof") if proxy.prove else ""
        if proxy.kind == "nginx":
            from pillion.proxies.nginx.driver import NginxDriver

            return NginxDriver(
                site,
                runner,
                main=proxy.main_file,
                program=proxy.program,
                proof=proof,
                words=self._socket(proxy, "words") if site.ours else "",
                room=self._socket(proxy, "room") if site.ours else "",
                empty="" if site.ours else self._socket(proxy, "empty"),
            )
        from pillion.proxies.haproxy.driver import HaproxyDriver

        return HaproxyDriver(
            proxy.name,
            site.directory,
            runner,
            self._outfit.tasks,
            master=self._socket(proxy, "master") if site.ours else proxy.master or "",
            admin=self._admin(proxy),
            proof_path=proof,
            binary=proxy.program,
            leaving_s=proxy.old_workers_s,
        )

    def _admin(self, proxy: ManagedProxy) -> str:
        if proxy.run != KEEPER and proxy.socket:
            return proxy.socket
        return self._socket(proxy, "admin")

    def _socket(self, proxy: ManagedProxy, what: str) -> str:
        return self._outfit.place.runtime(f"proxy-{proxy.name}.{what}")


async def _leave_alone() -> None:
    """Somebody else runs it, and ends it."""


def _kind(proxy: ManagedProxy) -> ProxyKind:
    return "nginx" if proxy.kind == "nginx" else "haproxy"
