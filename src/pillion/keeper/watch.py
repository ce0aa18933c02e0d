"""Watching over living processes, once per heartbeat interval: hearts, the app's watchdog, memory where it has to be sampled."""

from __future__ import annotations

import os
import signal

from . import posix, sampling, tree
from .heart import ABORT, BEATS, Heart
from .hierarchies import SAMPLING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .component import Component, Process
    from .keeper import Keeper

_SCRIBE_PING_TICKS = 5
_SCRIBE_MISSES = 3


class Watch:
    """Counts ticks, never elapsed time: what was paused with us is not late."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._ticks = 0
        self.scribe_heart = Heart(_SCRIBE_MISSES)
        self.watchdog: Heart | None = None
        self.watchdog_beats = 0

    def arm_watchdog(self) -> None:
        """Expect the app's heartbeats from now on, when the settings want a watchdog."""
        plan = self._keeper.plan
        timeout_s = plan["app"]["watchdog_timeout_s"]
        if timeout_s:
            self.watchdog = Heart(max(1, round(timeout_s / plan["agent"]["heartbeat_s"])))

    def new_scribe(self) -> None:
        """A scribe has been started."""
        self.scribe_heart = Heart(_SCRIBE_MISSES)

    def schedule_tick(self) -> None:
        """Tick once per heartbeat interval."""
        self._keeper.loop.after(self._keeper.plan["agent"]["heartbeat_s"], self._tick)

    def _tick(self) -> None:
        self.schedule_tick()
        self._ticks += 1
        for component in (self._keeper.agent, self._keeper.shipper):
            for process in component.processes():
                if process.ready:
                    self._tick_heart(component, process, process.heart)
        app = self._keeper.app.process
        if app is not None and self.watchdog is not None:
            self._tick_heart(self._keeper.app, app, self.watchdog)
        if self._ticks % _SCRIBE_PING_TICKS == 0:
            self._ping_scribe()
        self._sample()

    def _tick_heart(self, component: Component, process: Process, heart: Heart) -> None:
        verdict = heart.tick()
        if verdict == BEATS:
            return
        words = f"no heartbeat for {heart.misses} intervals"
        if verdict == ABORT:
            process.killed_because = f"hung: {words}"
            self._keeper.event("hung", component.name, words, {"pid": process.pid})
            self._keeper.kill_pid(process.pid, signal.SIGABRT)
            # A stopped process takes no signal but SIGKILL until it is continued.
            self._keeper.kill_pid(process.pid, signal.SIGCONT)
        else:
            self._keeper.kill_pid(process.pid, signal.SIGKILL)

    def _ping_scribe(self) -> None:
        if self._keeper.output.channel is None:
            return
        self._keeper.output.channel.send({"op": "ping"})
        if self.scribe_heart.tick() != BEATS:
            self._keeper.event("hung", "scribe", "no answer", {"pid": self._keeper.output.pid})
            self._keeper.kill_pid(self._keeper.output.pid, signal.SIGKILL)

    def _sample(self) -> None:
        """Where no control group holds a memory limit, compare the tree's resident memory with it at every tick."""
        for component in self._keeper.components.values():
            limit, process = component.limits.get("memory"), component.process
            if not limit or process is None or process.group.means != SAMPLING:
                continue
            pids = (
                self._keeper.exits.app_pids(process)
                if component is self._keeper.app
                else [process.pid, *posix.descendants_of(process.pid)]
            )
            resident = sampling.resident_bytes(pids)
            if resident > limit:
                process.killed_because = f"out of memory: {component.name} used {resident} bytes by sampling, its limit is {limit}"
                self._keeper.event(
                    "out-of-memory",
                    component.name,
                    process.killed_because,
                    {"limit": limit, "peak": resident},
                )
                tree.signal_all(pids, signal.SIGKILL)

    def on_oom(self, component: Component, process: Process) -> None:
        """cgroup v1 has killed, or is about to kill, one process of the group: the component goes as a whole."""
        assert process.oom_fd is not None
        os.eventfd_read(process.oom_fd)
        if component.limits.get("memory"):
            self._keeper.exits.out_of_memory(component, process)
            process.group.kill()
