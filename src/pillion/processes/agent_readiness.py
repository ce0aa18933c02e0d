"""Finds out when the app is ready where it does not say so itself: asks by HTTP, TCP or a command, and tells the keeper."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from pillion.errors import PillionError
from pillion.http.blocking import BlockingClient, BlockingError
from pillion.lifecycle.readiness import APP
from pillion.processes.agent_part import Part

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
        # The app sets no event; that is why it is asked.
        while not await is_ready(ready, self._app.port):  # noqa: ASYNC110
            await asyncio.sleep(ready.interval_s)
        try:
            await self._control.call("app-ready", {}, msgspec.Raw)
        except PillionError as error:
            sys.stderr.write(f"pillion-agent: {error}\n")
            self._pid = None  # asked again when the state changes


async def is_ready(ready: Ready, port: int | None) -> bool:
    """One attempt of at most `ready.timeout_s` seconds: whether the app answers as it should."""
    if ready.http is not None:
        return await asyncio.to_thread(_http, ready.http, port, ready.timeout_s)
    if ready.tcp is not None:
        return await _tcp(ready.tcp, ready.timeout_s)
    return await _exec(ready.exec, ready.timeout_s)


def _http(target: str, port: int | None, timeout_s: float) -> bool:
    """A 2xx or 3xx from a path on the app's port, or from a URL."""
    url = urlsplit(target if "://" in target else f"http://127.0.0.1:{port or 80}{target}")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    try:
        with (
            BlockingClient.tcp(url.hostname or "127.0.0.1", url.port or 80, timeout_s) as client,
            client.request("GET", path) as answer,
        ):
            return 200 <= answer.status < 400
    except BlockingError:
        return False


async def _tcp(endpoint: str, timeout_s: float) -> bool:
    host, _, port = endpoint.rpartition(":")
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _exec(command: tuple[str, ...], timeout_s: float) -> bool:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        sys.stderr.write(
            f"pillion-agent: cannot run {command[0]}: {error.strerror}; see app.ready\n"
        )
        return False
    try:
        async with asyncio.timeout(timeout_s):
            return await process.wait() == 0
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
