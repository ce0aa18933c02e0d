"""The ambassador: the data plane. It carries the app's calls under the policy that the agent sends, and goes on without the agent.

This is the composition root of one worker: it puts the parts together, and holds no policy of its own.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import traceback
from typing import TYPE_CHECKING

from pillion.ambassador.connect import OUTSIDE
from pillion.ambassador.doors import Doors
from pillion.ambassador.drain import drain
from pillion.ambassador.hub import Hub
from pillion.ambassador.link import PolicyLink
from pillion.ambassador.metrics import Red
from pillion.ambassador.outlet import message_socket
from pillion.ambassador.red_report import OTHER
from pillion.ambassador.reporting import report, worker_stats
from pillion.ambassador.request_log import RequestLog
from pillion.ambassador.runtime import Runtime
from pillion.ambassador.snapshot import POLICY_FILE, POLICY_SOCKET
from pillion.ambassador.spans import Spans
from pillion.base.control import Control
from pillion.base.control_handlers import Handlers
from pillion.base.process import freeze_collector, run_process
from pillion.base.tasks import RootTasks
from pillion.http.handover import HandoverError, HandoverReceiver
from pillion.model.place import Place, read_place
from pillion.settings.ambassador import Ambassador as Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pillion.ambassador.snapshot import RawSnapshot
    from pillion.ambassador.tls_files import TlsEvent
    from pillion.base.tasks import TaskEnd
    from pillion.model.stats import Stats

ROLE = "ambassador"

_NOT_LISTENERS = ("control", "handover", "requests", "spans")
# How long the start waits for a first policy; what comes later is put in force when it comes.
_POLICY_S = 5.0
_CLEANUP_S = 1.0
_MANY_ENDPOINTS = 500
_TERM_GRACE_S = 5.0
# Of a stop's grace, for what follows the last request: its record has to be handed over.
_AFTER_DRAIN_S = 1.5


def main() -> int:
    """Run a worker in the place that the keeper gave it; return the exit code."""
    return run_process(ROLE, _run)


async def _run() -> int:
    return await Ambassador(read_place(os.environ)).run()


class Ambassador:
    """One worker, from its start to its end; make it inside the running loop."""

    def __init__(self, place: Place) -> None:
        loop = asyncio.get_running_loop()
        self._place = place
        self._end: asyncio.Future[int] = loop.create_future()
        self._ending = False
        self._passive = place.passive
        self._tasks = RootTasks(self._task_ended)
        handlers = Handlers(
            promote=self._promote,
            retire=self._retire,
            stop=self._stop,
            listeners=self._listening,
            lost=self._lost,
        )
        self._control = Control(place, handlers, stats=self._stats)
        defaults = Settings()
        self._hub = Hub(self._tasks, defaults.http, defaults.trace, self._active)
        self._hub.log = RequestLog(defaults.log, self._stream("requests"), loop)
        self._log_settings = defaults.log
        self._hub.red = Red()
        self._spans = Spans(self._hub.log, self._stream("spans"), loop)
        self._runtime = Runtime(
            self._hub, self._breaker_changed, self._tls_changed, f"{place.instance} {place.run}"
        )
        self._doors = Doors(self._hub, self._runtime, self._tasks)
        self._policy = asyncio.Event()
        self._link = PolicyLink(
            place.runtime(POLICY_SOCKET),
            place.runtime(POLICY_FILE),
            place.component or ROLE,
            self._apply,
            self._runtime.force,
            self._report,
            self._tasks,
        )

    async def run(self) -> int:
        """Serve until told to go; return the exit code."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop, _TERM_GRACE_S)
        self._control.start()
        for name, number in self._place.fds.items():
            if name not in _NOT_LISTENERS:
                self._doors.add(name, socket.socket(fileno=number))
        self._link.start()
        await self._first_policy()
        freeze_collector()
        if not self._passive:
            self._doors.open()
        self._control.ready()
        code = await self._end
        self._doors.close()
        self._hub.close()
        self._link.close()
        self._hub.log.close()
        self._spans.close()
        await self._tasks.close(_CLEANUP_S)
        await self._control.flush(_CLEANUP_S)
        self._control.close()
        return code

    async def _first_policy(self) -> None:
        try:
            async with asyncio.timeout(_POLICY_S):
                await self._policy.wait()
        except TimeoutError:
            sys.stderr.write(
                f"pillion-ambassador: cannot get a policy from the agent within {_POLICY_S:g} s; "
                "connections wait in the backlog until there is one\n"
            )

    # Policy.

    async def _apply(self, snapshot: RawSnapshot) -> str | None:
        why = await self._runtime.apply(snapshot)
        if why is None:
            # In the same turn, so that nobody finds the half of it.
            self._doors.changed()
            settings = self._runtime.settings
            if settings.log is not self._log_settings:
                self._log_settings = settings.log
                self._hub.log.configure(settings.log)
            self._hub.spans = self._spans if settings.trace.export else None
            # What an upstream without a route has, what goes out by the proxy, and what had no room are there under any policy.
            self._hub.red.keep(
                {"", OTHER, *self._runtime.routes},
                {"", OTHER, OUTSIDE, *self._runtime.upstreams.live},
            )
            self._policy.set()
            made = self._runtime.upstreams.made
            await self._runtime.tidy()
            if made >= _MANY_ENDPOINTS:
                # They stay for long: to walk thousands of them again and again would take milliseconds each time.
                gc.freeze()
        return why

    def _breaker_changed(self, upstream: str, endpoint: str, old: str, new: str, why: str) -> None:
        self._link.transition(upstream, endpoint, old, new, why)

    def _tls_changed(self, event: TlsEvent) -> None:
        self._control.event(event.kind, event.detail)

    def _report(self) -> Generator[None, None, bytes]:
        return report(self._hub, self._runtime)

    def _active(self) -> None:
        self._link.changed()

    def _stats(self) -> Stats:
        return worker_stats(self._hub, self._doors, self._spans, self._tasks)

    # Life.

    def _listening(self, added: dict[str, socket.socket], gone: list[str]) -> None:
        for name in gone:
            self._doors.remove(name)
        for name, sock in added.items():
            self._doors.add(name, sock)

    def _promote(self) -> None:
        if self._ending:
            return
        self._passive = False
        self._doors.open()
        if "handover" in self._place.fds:
            sock = socket.socket(fileno=self._place.fds["handover"])
            self._tasks.start("take over", self._take_over(sock), may_end=True)

    async def _take_over(self, sock: socket.socket) -> None:
        """Adopt the connections that the predecessor passes on, until it says that it was all."""
        with sock:
            try:
                received = await HandoverReceiver(sock, self._doors.adopt).run()
            except HandoverError as error:
                self._control.event("handed-over", f"{error}", data={"complete": False})
                return
        if not received.complete:
            self._control.event(
                "handed-over",
                "the predecessor ended while handing over",
                data={"adopted": received.adopted, "complete": False},
            )

    def _retire(self, drain_s: float, successor: socket.socket | None) -> None:
        if self._ending:
            if successor is not None:
                successor.close()
            return
        self._ending = True
        self._tasks.start("retire", self._drain(drain_s, successor), may_end=True)

    def _stop(self, grace_s: float) -> None:
        if not self._ending:
            self._ending = True
            self._tasks.start(
                "stop", self._drain(max(grace_s - _AFTER_DRAIN_S, 0.1), None), may_end=True
            )

    async def _drain(self, within_s: float, successor: socket.socket | None) -> None:
        try:
            drained = await drain(self._hub, self._doors, within_s, successor)
            self._control.retired(drained.handed, drained.cut)
        finally:
            if successor is not None:
                successor.close()
            self._finish(0)

    def _lost(self) -> None:
        # The keeper is gone: end in order, before anybody has to end us.
        self._stop(_TERM_GRACE_S)

    def _finish(self, code: int) -> None:
        if not self._end.done():
            self._end.set_result(code)

    def _stream(self, name: str) -> Callable[[bytes], bool]:
        """Where lines of a spool stream go; nowhere when the keeper has given none."""
        number = self._place.fds.get(name)
        if number is None:
            return lambda _data: True
        return message_socket(socket.socket(fileno=number))

    def _task_ended(self, end: TaskEnd) -> None:
        sys.stderr.write(f"pillion-ambassador: {end}\n")
        if end.error is not None:
            traceback.print_exception(end.error)
        self._control.event("failed", str(end))
        self._finish(1)


if __name__ == "__main__":
    sys.exit(main())
