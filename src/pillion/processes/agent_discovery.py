"""The agent's part for discovery: announces the app while it can serve, follows the neighbours and the store, and drains."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import TYPE_CHECKING, Protocol

from pillion.discovery.addresses import reachable_address
from pillion.discovery.announcement import Standing, announcement
from pillion.discovery.announcements import Announcements
from pillion.discovery.announcer import Announcer
from pillion.discovery.instance import PASSING, endpoint
from pillion.discovery.known import FILE
from pillion.discovery.registrations import Registrations
from pillion.discovery.registry import Registry
from pillion.discovery.services import Services
from pillion.lifecycle.readiness import APP
from pillion.logs.stamp import rfc3339
from pillion.processes.agent_part import Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.discovery.instance import ServiceInstance
    from pillion.model.component import Status
    from pillion.model.event import Json
    from pillion.model.stats import Stats
    from pillion.processes.agent_part import Outfit
    from pillion.settings import Settings
    from pillion.store.interface import Store

# The app may look for others at once when it starts; what the store knows is there by then, unless the store is slow.
_PREPARE_S = 1.0
# A full disk, or an interface without an address: tried again, since nobody tells when it is over.
_AGAIN_S = 5.0


class Healthy(Protocol):
    """What discovery wants to know of the app's health."""

    @property
    def status(self) -> str:
        """`passing`, `warning` or `critical`."""

    def on_change(self, listener: Callable[[str], None]) -> None:
        """Have `listener` called when it is another."""


class DiscoveryPart(Part):
    """Gives the API and the other parts `context.services`.

    `health` is the app's; it is announced while that is passing or warning, and always without one.
    """

    def __init__(self, outfit: Outfit, store: Store, health: Healthy | None = None) -> None:
        self._outfit = outfit
        self._session = outfit.neighbours.own
        self._settings = outfit.settings
        self._health = health
        self._loop = asyncio.get_running_loop()
        # The microsecond of the start: above every revision that an agent before us has given out.
        self._registry = Registry(time.time_ns() // 1000)
        self._registrations = Registrations(
            store,
            self._registry,
            outfit.tasks,
            audit=self._registered,
            path=outfit.place.state(FILE),
        )
        self.services = Services(
            self._registry, self._registrations, store, zone=outfit.settings.service.zone
        )
        self._announcements = Announcements(outfit.neighbours, self._announced)
        self._announcer = Announcer(outfit.place.runtime_dir, self._session, self._stands)
        self._status: Status | None = None
        self._drained: int | None = None
        self._enabled = False
        self._complaint = ""
        self._failures = 0
        self._again: asyncio.TimerHandle | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self._registry.on_change(lambda _: self._tick_later())
        if health is not None:
            health.on_change(lambda _: self._evaluate())
        outfit.context.services = self.services

    def enable(self) -> None:
        """Begin with what an agent before us has announced; more when the keeper has told how things stand now."""
        self._enabled = True
        self._status = None
        self._take_over()
        self._announcements.look_at_all()
        self._registrations.start()

    async def prepare(self) -> None:
        """Know what is registered before the app asks for it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PREPARE_S):
                await self._registrations.loaded()

    def disable(self) -> None:
        """The announcement stays: a successor takes it over, or the keeper's lock ends it."""
        self._enabled = False
        for timer in (self._again, self._ticking):
            if timer is not None:
                timer.cancel()

    def drain(self, pid: int) -> float:
        """Take the announcement away before the app is told to stop."""
        self._drained = pid
        if not self._enabled:
            self._take_over()
        known = self._announcer.present is not None
        self._announce(None, "its process is about to be stopped")
        return self._settings.service.drain_s if known else 0.0

    def state(self, status: Status) -> None:
        """Announce the app when it can serve, and not when it cannot."""
        self._status = status
        self._evaluate()

    def settings(self, settings: Settings) -> None:
        """Announce it as it is wanted now."""
        self._settings = settings
        self.services.zone = settings.service.zone
        self._evaluate()

    def stats(self) -> Stats:
        """What it counts."""
        return {
            "services": len(self._registry.names),
            "service_instances": len(self._registry),
            "service_instances_refused_total": self._registry.refused,
            "service_announcements_refused_total": self._announcements.refused,
            "service_announcement_failures_total": self._failures,
            "service_registrations_refused_total": self._registrations.refused,
            "service_registrations_put_again_total": self._registrations.put_again,
            "service_waiters": len(self.services.feed),
        }

    async def close(self) -> None:
        """Nothing is held but timers."""
        self.disable()

    # Our own app.

    def _evaluate(self) -> None:
        if not self._enabled or self._status is None:
            return
        health = PASSING if self._health is None else self._health.status
        standing = Standing(self._status, health, self._drained)
        given = self._settings.service.address
        address = reachable_address(given) if standing.can_serve else None
        if standing.can_serve and address is None:
            self._complain(f"the interface {given} has no address")
        now = rfc3339(time.time_ns())
        wanted = announcement(self._settings, self._session, standing, address, now)
        self._announce(wanted, _why(standing))

    def _announce(self, wanted: ServiceInstance | None, why: str) -> None:
        before = self._announcer.present
        try:
            changed = self._announcer.announce(wanted)
        except (OSError, ValueError) as error:
            self._failures += 1
            self._complain(f"it cannot be written: {error}")
            return
        if not changed:
            return
        self._complaint = ""
        if wanted is None:
            assert before is not None
            self._event("deregistered", f"{before.service}: {why}", _facts(before))
        elif before is None or before.service != wanted.service:
            self._event("registered", f"{wanted.service} at {endpoint(wanted)}", _facts(wanted))

    def _take_over(self) -> None:
        try:
            self._announcer.take_over()
        except OSError as error:
            self._failures += 1
            self._complain(f"what is there cannot be read: {error.strerror}")

    def _stands(self, instance: ServiceInstance | None) -> None:
        """What stands in our runtime directory now."""
        self._registry.announce(self._session.instance, instance, self._loop.time())
        self._announcements.ring()

    def _complain(self, why: str) -> None:
        """Tell once why the app is not announced as it should be, and try again later."""
        if why != self._complaint:
            self._complaint = why
            sys.stderr.write(f"pillion-agent: cannot announce the app: {why}\n")
            self._event("not-ready", f"cannot announce the app: {why}", {})
        if self._again is not None:
            self._again.cancel()
        self._again = self._loop.call_later(_AGAIN_S, self._evaluate)

    # The others.

    def _announced(self, instance: str, announced: ServiceInstance | None) -> None:
        self._registry.announce(instance, announced, self._loop.time())

    def _registered(self, kind: str, instance: ServiceInstance) -> None:
        words = f"{instance.service}: {instance.id} at {endpoint(instance)}, by hand"
        self._outfit.control.event(kind, words, data=_facts(instance))

    def _tick_later(self) -> None:
        """Let the registry forget what it only keeps, when that is due."""
        due_s = self._registry.next_s
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        if due_s is not None:
            self._ticking = self._loop.call_at(due_s, self._tick)

    def _tick(self) -> None:
        self._ticking = None
        self._registry.tick(self._loop.time())
        self._tick_later()

    def _event(self, kind: str, reason: str, data: dict[str, Json]) -> None:
        self._outfit.control.event(kind, reason, component=APP, data=data)


def _why(standing: Standing) -> str:
    """Why the app is not announced any more."""
    if standing.can_serve:
        return "the settings say so"
    if standing.health == "critical":
        return "its health is critical"
    app = standing.status.component(APP) if standing.status else None
    return "it does not run" if app is None else f"it is {app.state}, and not ready"


def _facts(instance: ServiceInstance) -> dict[str, Json]:
    return {"service": instance.service, "id": instance.id, "endpoint": endpoint(instance)}
