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

from pillion.api.context import Context
from pillion.base.control import Control
from pillion.base.control_handlers import Handlers
from pillion.base.neighbours import Neighbours
from pillion.base.process import freeze_collector, run_process
from pillion.base.tasks import RootTasks
from pillion.errors import PillionError
from pillion.lifecycle.readiness import readiness
from pillion.model.place import Place, read_place
from pillion.processes.agent_part import Outfit
from pillion.processes.agent_parts import make_parts
from pillion.processes.agent_reload import Reloader, read_settings
from pillion.processes.agent_stats import control_stats, server_stats, task_stats

if TYPE_CHECKING:
    from pillion.base.tasks import TaskEnd
    from pillion.model.component import Status
    from pillion.model.stats import Stats
    from pillion.processes.agent_api import AgentApi

ROLE = "agent"

_ASK_AGAIN_S = 1.0
# How long what is under way may take when there is no keeper any more.
_LOST_GRACE_S = 0.2
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
        self._api: AgentApi | None = None
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
        if self._place.passive:
            # Until we are ready the one before us serves: there is no hurry, and what cannot be loaded must not be promoted.
            self._load_api()
            self._control.ready()
        else:
            self._enable()
            await self._prepare()
            self._control.ready()
            # The app is on its way now. Whoever asks meanwhile waits in the backlog for as long as this takes, a tenth of a second.
            if not self._ending:
                self._load_api().serve()
        freeze_collector()
        code = await self._end
        if self._api is not None:
            await self._api.close()
        await self._close_parts()
        await self._tasks.close(_CLEANUP_S)
        await self._control.flush(_CLEANUP_S)
        self._control.close()
        return code

    def _load_api(self) -> AgentApi:
        from pillion.processes.agent_api import AgentApi  # late: the app's start does not need it

        self._api = AgentApi(self._place, self._settings, self._context)
        return self._api

    def _stats(self) -> Stats:
        stats = task_stats(self._tasks)
        stats.update(server_stats(None) if self._api is None else self._api.stats())
        for part in self._parts:
            stats.update(part.stats())
        return stats

    def _enable(self) -> None:
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
        if self._ending or self._api is None:
            return
        self._api.serve()
        self._enable()
        self._tasks.start("prepare", self._prepare(), may_end=True)
        if "handover" in self._place.fds:
            sock = socket.socket(fileno=self._place.fds["handover"])
            self._tasks.start("take over", self._api.take_over(sock), may_end=True)

    def _retire(self, drain_s: float, successor: socket.socket | None) -> None:
        if not self._go():
            if successor is not None:
                successor.close()
            return
        self._tasks.start("retire", self._hand_over(drain_s, successor), may_end=True)

    async def _hand_over(self, drain_s: float, successor: socket.socket | None) -> None:
        try:
            if self._api is not None:
                drained = await self._api.hand_over(drain_s, successor)
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
        try:
            if self._api is not None:
                await self._api.answer_and_end(grace_s - _CLEANUP_S)
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
        self._stop(_LOST_GRACE_S)

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

    def _task_ended(self, end: TaskEnd) -> None:
        sys.stderr.write(f"pillion-agent: {end}\n")
        if end.error is not None:
            traceback.print_exception(end.error)
        self._control.event("failed", str(end))
