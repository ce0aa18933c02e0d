"""Another version of the sidecar, one process at a time, while everything runs on: start beside, wait until ready, promote, retire.

What is not ready in time, or dies before it is promoted, is ended, and the old one carries on.
"""

from __future__ import annotations

from . import component as parts
from .lean import signal, socket
from .sidecar import sidecar_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .component import Component, Process
    from .keeper import Keeper
    from .wire import Json

# What a retiring process gets on top of its drain before it is killed.
_MARGIN_S = 2.0


class Upgrade:
    """One upgrade under way. `done(upgraded, error)` is called once: with what was upgraded, and why it stopped there, if it did."""

    def __init__(
        self, keeper: Keeper, names: list[str], python: str | None, drain_s: float | None,
        done: Callable[[list[Json], str | None], None],
    ) -> None:  # fmt: skip
        self._keeper = keeper
        self._waiting = names
        self._python = python
        self._drain_s = drain_s
        self._done = done
        self._upgraded: list[Json] = []
        self._current: Component | None = None
        self._before: str | None = None
        self._ours: socket.socket | None = None
        self._predecessor: Process | None = None

    def begin(self) -> None:
        """Start with the first component."""
        self._keeper.event(
            "upgrade-started",
            "keeper",
            f"components {', '.join(self._waiting)}",
            {"python": self._python},
        )
        self._next()

    def _next(self) -> None:
        if not self._waiting:
            self._finish(None)
            return
        component = self._keeper.components[self._waiting.pop(0)]
        self._current = component
        if component.process is None or not component.process.ready:
            self._finish(f"{component.name} is {component.state}, not running")
            return
        self._before = component.python
        component.python = self._python if self._python is not None else component.python
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours = ours
        try:
            successor = self._keeper.starter.start_sidecar(component, passive=True, handover=theirs)
        finally:
            theirs.close()
        if successor is None:
            component.python = self._before
            component.state = parts.RUNNING
            self._finish(f"the new {component.name} could not be started")

    def successor_ready(self, component: Component, process: Process) -> None:
        """The new process could serve: the old one retires. A new one accepts at once, since both may; but a new shipper waits until
        the old one has handed over its positions, since only one may ship.
        """
        predecessor = component.process
        assert predecessor is not None
        drain_s = (
            sidecar_plan(self._keeper.plan, component.role)["drain_s"]
            if self._drain_s is None
            else self._drain_s
        )
        component.retiring.append(predecessor)
        component.process, component.successor = process, None
        self._predecessor = predecessor
        if component.role != parts.SHIPPER:
            self._promote(component, process)
        # Its answer to whoever asked for the upgrade must be under way before it is told to go.
        if not self._waiting and component is self._keeper.agent:
            self._announce(component, process, predecessor)
            self._retire(predecessor, drain_s)
            self._finish(None)
            return
        self._retire(predecessor, drain_s)

    def _retire(self, predecessor: Process, drain_s: float) -> None:
        ours = self._ours
        if predecessor.channel is not None:
            predecessor.channel.send(
                {"op": "retire", "drain_s": drain_s}, [ours.fileno()] if ours else []
            )
        if ours is not None:
            ours.close()
            self._ours = None
        timer = self._keeper.loop.after(
            drain_s + _MARGIN_S, lambda: self._keeper.kill_pid(predecessor.pid, signal.SIGKILL)
        )
        predecessor.timers.append(timer)

    def _promote(self, component: Component, process: Process) -> None:
        process.promoted = True
        component.state = parts.RUNNING
        if process.channel is not None:
            process.channel.send({"op": "promote"})
        self._keeper.send_tree()
        self._keeper.push_state()

    def _announce(self, component: Component, process: Process, predecessor: Process) -> None:
        words = f"{predecessor.version} (pid {predecessor.pid}) to {process.version} (pid {process.pid})"
        self._keeper.event("upgraded", component.name, words, {"pid": process.pid})
        self._upgraded.append(
            {
                "name": component.name,
                "from": predecessor.version,
                "to": process.version,
                "pid": process.pid,
            }
        )

    def predecessor_gone(self, component: Component, process: Process) -> None:
        """The old process has ended: on to the next."""
        if (
            component is not self._current
            or process is not self._predecessor
            or component.process is None
        ):
            return
        if not component.process.promoted:
            self._promote(component, component.process)
        self._announce(component, component.process, process)
        self._next()

    def successor_died(
        self, component: Component, process: Process, last_exit: dict[str, Json]
    ) -> None:
        """The new process ended before it was promoted: the old one carries on."""
        component.python = self._before
        component.state = parts.RUNNING
        cause = process.killed_because or (
            f"signal {last_exit['signal']}"
            if "signal" in last_exit
            else f"exit code {last_exit.get('code')}"
        )
        self._finish(
            f"the new {component.name} did not become ready: {cause}; `pillion logs --stream sidecar` shows its output"
        )

    def abandon(self, reason: str) -> None:
        """Stop here."""
        for component in self._keeper.sidecars:
            if component.successor is not None:
                self._keeper.kill_pid(component.successor.pid, signal.SIGKILL)
        self._finish(reason)

    def _finish(self, error: str | None) -> None:
        if self._ours is not None:
            self._ours.close()
            self._ours = None
        if error is not None:
            name = self._current.name if self._current else "keeper"
            self._keeper.event("upgrade-failed", name, f"{error}; the old version carries on")
        self._keeper.upgrade = None
        self._done(self._upgraded, error)
