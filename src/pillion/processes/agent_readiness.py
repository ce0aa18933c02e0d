"""Finds out when the app is ready where it does not say so itself: asks by HTTP, TCP or a command, and tells the keeper."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import msgspec

from pillion.errors import PillionError
from pillion.health.check import Check, Exec, Http, Tcp
from pillion.health.definitions import http_url
from pillion.health.prober import Prober
from pillion.lifecycle.readiness import APP
from pillion.processes.agent_part import Part
from pillion.settings.addresses import split_address

if TYPE_CHECKING:
    from pillion.base.control import Control
    from pillion.base.tasks import RootTasks
    from pillion.model.component import Status
    from pillion.settings import Settings
    from pillion.settings.app import App
    from pillion.settings.supervision import Ready


_ASKABLE = ("starting", "running")


class AppProbe(Part):
    """Asks while the app runs and is not ready; a new process of the app is asked anew."""

    def __init__(self, control: Control, app: App, tasks: RootTasks) -> None:
        self._control = control
        self._app = app
        self._tasks = tasks
        self._enabled = False
        self._pid: int | None = None
        self._asking: asyncio.Task[None] | None = None
        self._last: Status | None = None
        self._prober = Prober(lambda: True)

    def enable(self) -> None:
        """Begin: this agent is the one in charge."""
        self._enabled = True
        if self._last is not None:
            self.state(self._last)

    def disable(self) -> None:
        """End: another is in charge, or nobody."""
        self._enabled = False
        self._leave()

    def settings(self, settings: Settings) -> None:
        """Take over changed settings, for the next process of the app."""
        self._app = settings.app

    def state(self, status: Status) -> None:
        """Follow the app's state."""
        self._last = status
        app = status.component(APP)
        if app is None or app.state not in _ASKABLE or app.ready or app.pid is None:
            self._leave()
            return
        ready = self._app.ready
        if not self._enabled or ready is None or ready.notify or app.pid == self._pid:
            return
        self._leave()
        self._pid = app.pid
        self._asking = self._tasks.start("ask the app", self._ask(ready), may_end=True)

    def _leave(self) -> None:
        self._pid = None
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    async def _ask(self, ready: Ready) -> None:
        check = ready_check(ready, self._app.port)
        # The app sets no event; that is why it is asked.
        while not (await self._prober.attempt(check)).good:  # noqa: ASYNC110
            await asyncio.sleep(ready.interval_s)
        try:
            await self._control.call("app-ready", {}, msgspec.Raw)
        except PillionError as error:
            sys.stderr.write(f"pillion-agent: {error}\n")
            self._pid = None  # asked again when the state changes


def ready_check(ready: Ready, port: int | None) -> Check:
    """The check that `app.ready` describes; it is never given one that waits for READY=1."""
    target: Http | Tcp | Exec
    if ready.http is not None:
        target = Http(http_url(ready.http, port))
    elif ready.tcp is not None:
        target = Tcp(*split_address(ready.tcp))
    else:
        target = Exec(ready.exec)
    return Check(name="app.ready", probe=target, timeout_s=ready.timeout_s)
