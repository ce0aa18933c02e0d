"""What is done about a hung component: a report of its threads, SIGABRT so that it can speak for itself, then SIGKILL for all of it.

Its restart is then a matter of the usual policy. Every step has a bound, and the end of the process ends the sequence.
"""

from __future__ import annotations

import os
import time

from . import hang_report, tree
from .lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .component import Component, Process
    from .keeper import Keeper
    from .loop import Timer
    from .wire import Json

# How long the report may take: a disk that hangs must not keep a hung app alive.
_REPORT_BOUND_S = 2.0
# How long a Java virtual machine may take to print its threads.
_DUMP_S = 1.0
_SIDECAR_GRACE_S = 2.0
# Between SIGABRT and SIGKILL we count ticks, as for a heartbeat: a pause takes nothing of the grace.
_GRACE_TICKS = 4


class Hang:
    """One hung process on its way out; `begin` once."""

    def __init__(self, keeper: Keeper, component: Component, process: Process, reason: str) -> None:
        self._keeper = keeper
        self._component = component
        self._process = process
        self._reason = reason
        self._report = -1
        self._reporter = 0
        self._timer: Timer | None = None
        self._ticks = 0

    @property
    def reporter(self) -> int:
        """The pid of the child that takes the report, 0 when there is none."""
        return self._reporter

    def _pids(self) -> list[int]:
        """Return whom this is about, the main process first."""
        process, keeper = self._process, self._keeper
        if self._component is not keeper.app:
            return [process.pid]
        return [process.pid, *(p for p in keeper.exits.app_pids(process) if p != process.pid)]

    def begin(self) -> None:
        """Note why, and have the report taken."""
        process = self._process
        process.killed_because = f"hung: {self._reason}"
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        name = f"{stamp}-{self._component.name}-{process.pid}.txt"
        keeper = self._keeper
        try:
            self._reporter, self._report = hang_report.start(
                self._reason, self._component.name, self._pids(), keeper.instance.state_dir, name
            )
        except OSError as error:
            self._told({"report_failed": f"cannot fork: {error.strerror}"})
            return
        keeper.loop.add(self._report, self._reported)
        self._timer = keeper.loop.after(_REPORT_BOUND_S, self._report_is_late)

    def _reported(self) -> None:
        try:
            line = os.read(self._report, hang_report.MAX_SUMMARY_BYTES)
        except BlockingIOError:
            return
        self._told(hang_report.understand(line))

    def _report_is_late(self) -> None:
        self._keeper.kill_pid(self._reporter, signal.SIGKILL)
        self._told({"report_failed": f"not taken within {_REPORT_BOUND_S:g} s"})

    def _told(self, data: dict[str, Json]) -> None:
        """The report is there, or never will be: enter it in the journal, and go on."""
        keeper, process = self._keeper, self._process
        self._close()
        machines = data.pop("jvms", [])
        keeper.event("hung", self._component.name, self._reason, {"pid": process.pid, **data})
        pids = [p for p in machines if isinstance(p, int)] if isinstance(machines, list) else []
        if pids:
            tree.signal_all(pids, signal.SIGQUIT)
            tree.signal_all(pids, signal.SIGCONT)
            self._timer = keeper.loop.after(_DUMP_S, self._abort)
        else:
            self._abort()

    def _abort(self) -> None:
        pids = self._pids()
        tree.signal_all(pids, signal.SIGABRT)
        # A stopped process takes no signal but SIGKILL until it is continued.
        tree.signal_all(pids, signal.SIGCONT)
        self._tick_later()

    def _tick_later(self) -> None:
        keeper = self._keeper
        app = self._component is keeper.app
        grace_s = keeper.plan["app"]["stop_timeout_s"] if app else _SIDECAR_GRACE_S
        self._timer = keeper.loop.after(grace_s / _GRACE_TICKS, self._tick)

    def _tick(self) -> None:
        self._ticks += 1
        if self._ticks < _GRACE_TICKS:
            self._tick_later()
            return
        self._keeper.event(
            "killed",
            self._component.name,
            "hung, and did not end by SIGABRT",
            {"pid": self._process.pid},
        )
        self._kill()

    def _kill(self) -> None:
        """SIGKILL everything that belongs to it."""
        group = self._process.group
        if group.tracked:
            group.kill()
        else:
            tree.signal_all(self._pids(), signal.SIGKILL)

    def _close(self) -> None:
        if self._report >= 0:
            self._keeper.loop.remove(self._report)
            os.close(self._report)
            self._report = -1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def ended(self) -> None:
        """The main process has ended, and its pid with it: what is left of it goes at once, and nothing is waited for any more."""
        keeper, process = self._keeper, self._process
        if self._report >= 0:
            keeper.event("hung", self._component.name, self._reason, {"pid": process.pid})
        self._close()
        process.group.kill()
        if self._component is keeper.app and not process.group.tracked:
            tree.signal_all(keeper.exits.app_pids(process), signal.SIGKILL)
