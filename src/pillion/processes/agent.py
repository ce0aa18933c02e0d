"""The agent: control. It serves the local API over what the keeper knows and does, and retires without losing a request.

This is the composition root: it puts the parts together, and holds no policy of its own.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import traceback
from typing import TYPE_CHECKING

from pillion.api.access import PROBE, TCP, UNIX
from pillion.api.application import Application
from pillion.api.context import Context
from pillion.api.table import ROUTES
from pillion.base.control import Control
from pillion.base.control_handlers import Handlers
from pillion.base.neighbours import Neighbours
from pillion.base.process import freeze_collector, run_process
from pillion.base.tasks import RootTasks
from pillion.errors import PillionError
from pillion.http.handover import HandoverError, HandoverReceiver
from pillion.http.server import Server, ServerLimits
from pillion.lifecycle.readiness import readiness
from pillion.model.place import Place, read_place
from pillion.processes.agent_access import read_access
from pillion.processes.agent_part import Outfit
from pillion.processes.agent_parts import make_parts
from pillion.processes.agent_reload import Reloader, read_settings
from pillion.processes.agent_stats import control_stats, own_stats

if TYPE_CHECKING:
    from pillion.base.tasks import TaskEnd
    from pillion.http.server import Request
    from pillion.model.component import Status
    from pillion.model.stats import Stats

ROLE = "agent"

# Which inherited descriptor is served under which name.
_LISTENERS = (("api_unix", UNIX), ("api_tcp", TCP), ("probe", PROBE))
# Local clients are quick, and what they send is small.
_LIMITS = ServerLimits(header_timeout_s=5.0, body_bytes=1 << 20)
_ASK_AGAIN_S = 1.0
# For clients that have been answered to take their answer and close, when nothing is under way any more.
_LAST_BYTES_S = 0.2
_CLEANUP_S = 1.0
# The app waits for it, unless it was told not to wait for the sidecar.
_PREPARE_S = 3.0
_TERM_GRACE_S = 5.0


def main() -> int:
    """Run the agent in the place that the keeper gave it; return the exit code."""
    return run_process(ROLE, _run)


async def _run() -> int:
    return await Agent(read_place(os.environ)).run()


class Agent:
    """One agent process, from its start to its end; make it inside the running loop."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._settings = read_settings(place)
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._ending = False
        self._asking: asyncio.TimerHandle | None = None
        self._tasks = RootTasks(self._task_ended)
        handlers = Handlers(
            promote=self._promote,
            retire=self._retire,
            drain=self._drain,
            stop=self._stop,
            reload=self._read_settings_again,
            state=self._state,
            lost=self._lost,
        )
        self._control = Control(place, handlers, stats=self._stats)
        self._reloader = Reloader(self._control, self._settings)
        self._context = Context(
            control=self._control,
            reload=self._reloader.reload,
            stats=lambda: {**self._stats(), **control_stats(self._control)},
        )
        self._sockets = {
            name: socket.socket(fileno=place.fds[key])
            for key, name in _LISTENERS
            if key in place.fds
        }
        access = read_access(place, self._settings, self._sockets.get(TCP))
        self._context.access = access
        self._application = Application(self._context, access, ROUTES)
        self._server = Server(self._application, _LIMITS, on_error=self._failed, name="api")
        self._parts = make_parts(
            Outfit(
                place,
                self._settings,
                self._control,
                self._tasks,
                self._context,
                Neighbours(place.runtime_dir, place.run),
            )
        )

    async def run(self) -> int:
        """Serve until told to go; return the exit code."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop, _TERM_GRACE_S)
        self._control.start()
        self._ask_now()
        if not self._place.passive:
            self._serve()
            await self._prepare()
        self._control.ready()
        freeze_collector()
        code = await self._end
        await self._server.close()
        await self._close_parts()
        await self._tasks.close(_CLEANUP_S)
        await self._control.flush(_CLEANUP_S)
        self._control.close()
        for sock in self._sockets.values():
            sock.close()
        return code

    def _stats(self) -> Stats:
        stats = own_stats(self._server, self._tasks)
        for part in self._parts:
            stats.update(part.stats())
        return stats

    def _serve(self) -> None:
        for name, sock in self._sockets.items():
            self._server.serve(sock, name)
        for part in self._parts:
            part.enable()

    async def _prepare(self) -> None:
        """Do what the app's start waits for; what takes longer than the bound goes on without it."""
        try:
            async with asyncio.timeout(_PREPARE_S):
                for part in self._parts:
                    await part.prepare()
        except TimeoutError:
            sys.stderr.write(f"pillion-agent: cannot prepare within {_PREPARE_S:g} s; going on\n")

    async def _close_parts(self) -> None:
        try:
            async with asyncio.timeout(_CLEANUP_S):
                for part in reversed(self._parts):
                    await part.close()
        except TimeoutError:
            sys.stderr.write(f"pillion-agent: cannot close everything within {_CLEANUP_S:g} s\n")

    def _promote(self) -> None:
        if self._ending:
            return
        self._serve()
        self._tasks.start("prepare", self._prepare(), may_end=True)
        if "handover" in self._place.fds:
            sock = socket.socket(fileno=self._place.fds["handover"])
            self._tasks.start("take over", self._take_over(sock), may_end=True)

    async def _take_over(self, sock: socket.socket) -> None:
        """Adopt the connections that the predecessor passes on, until it says that it was all."""
        with sock:
            try:
                received = await HandoverReceiver(sock, self._server.adopt).run()
            except HandoverError as error:
                self._control.event("handed-over", f"{error}", data={"complete": False})
                return
        if not received.complete:
            # The predecessor was killed: what it had not passed on went with it.
            data: dict[str, bool | int] = {"adopted": received.adopted, "complete": False}
            self._control.event(
                "handed-over", "the predecessor ended while handing over", data={**data}
            )

    def _retire(self, drain_s: float, successor: socket.socket | None) -> None:
        if not self._go():
            if successor is not None:
                successor.close()
            return
        self._tasks.start("retire", self._hand_over(drain_s, successor), may_end=True)

    async def _hand_over(self, drain_s: float, successor: socket.socket | None) -> None:
        try:
            drained = await self._server.drain(drain_s, successor)
            self._control.retired(drained.handed, drained.cut)
        finally:
            if successor is not None:
                successor.close()
            self._finish(0)

    def _drain(self, pid: int) -> float:
        return max((part.drain(pid) for part in self._parts), default=0.0)

    def _stop(self, grace_s: float) -> None:
        if self._go():
            self._tasks.start("stop", self._answer_and_end(grace_s), may_end=True)

    async def _answer_and_end(self, grace_s: float) -> None:
        """What is under way is answered; idle connections have nothing to wait for."""
        try:
            self._server.pause_accepting()
            await self._application.quiet(max(0.0, grace_s - _LAST_BYTES_S - _CLEANUP_S))
            await self._server.drain(_LAST_BYTES_S)
        finally:
            self._finish(0)

    def _go(self) -> bool:
        """Begin to end, once: streams end themselves, and nobody probes any more."""
        if self._ending:
            return False
        self._ending = True
        for part in self._parts:
            part.disable()
        if self._asking is not None:
            self._asking.cancel()
        self._context.closing.set()
        return True

    def _lost(self) -> None:
        # Without a keeper there is nothing to control, and nobody to end us later.
        self._stop(_LAST_BYTES_S)

    def _finish(self, code: int) -> None:
        if not self._end.done():
            self._end.set_result(code)

    async def _ask_for_state(self) -> None:
        try:
            self._state(await self._context.fresh_status())
        except PillionError as error:
            sys.stderr.write(f"pillion-agent: {error}\n")
            self._ask_later()

    def _state(self, status: Status) -> None:
        self._context.state = status
        for part in self._parts:
            part.state(status)
        if not readiness(status).ready:
            self._ask_later()

    def _ask_later(self) -> None:
        """While the app is on its way up, steps that are not told are asked for; once it is ready nothing is."""
        if self._asking is None and not self._ending:
            loop = asyncio.get_running_loop()
            self._asking = loop.call_later(_ASK_AGAIN_S, self._ask_now)

    def _ask_now(self) -> None:
        self._asking = None
        if not self._ending:
            self._tasks.start("ask for state", self._ask_for_state(), may_end=True)

    def _read_settings_again(self) -> None:
        self._settings = read_settings(self._place)
        self._reloader.settings = self._settings
        for part in self._parts:
            part.settings(self._settings)

    def _failed(self, error: BaseException, request: Request | None) -> None:
        where = "a connection" if request is None else f"{request.method} {request.path[:128]}"
        sys.stderr.write(f"pillion-agent: cannot answer {where}:\n")
        traceback.print_exception(error)

    def _task_ended(self, end: TaskEnd) -> None:
        sys.stderr.write(f"pillion-agent: {end}\n")
        if end.error is not None:
            traceback.print_exception(end.error)
        self._control.event("failed", str(end))
