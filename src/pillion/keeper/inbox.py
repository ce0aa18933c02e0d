"""What others say to the keeper: its children, operators on its own socket, and the app by sd_notify."""

from __future__ import annotations

import os
import time

from . import component as parts
from . import notify, tree, wire
from .lean import signal, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .component import Component, Process
    from .keeper import Keeper
    from .loop import Timer
    from .wire import Json, Message

_PUSH_EVERY_S = 0.1


class Inbox:
    """Reads every message as it comes, and passes it to whom it concerns."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.heard = notify.Heard()
        self._store_refused = False
        self._push: Timer | None = None
        self._push_again = False

    def on_message(self, component: Component, process: Process) -> None:
        """Read what a process of the sidecar says."""
        channel = process.channel
        assert channel is not None
        fd = channel.fileno()
        for message, fds in channel.receive():
            for received in fds:
                os.close(received)
            self._handle(component, process, message)
            if process.channel is None:
                return
        channel.flush()
        if channel.closed and process.channel is channel:
            self._keeper.loop.remove(fd)

    def _handle(self, component: Component, process: Process, message: Message) -> None:
        self._keeper.watch.beat(process)
        op = message.get("op")
        if op == "hello":
            version = message.get("version")
            process.version = version if isinstance(version, str) else None
        elif op == "ready":
            self._sidecar_ready(component, process)
        elif op == "heartbeat":
            stats = message.get("stats")
            # A beat without them says that they are as they were.
            process.stats = stats if isinstance(stats, dict) else process.stats
        elif op == "event":
            data = message.get("data")
            self._keeper.event(
                str(message.get("kind", "")), str(message.get("component", component.name)), str(message.get("reason", "")),
                data if isinstance(data, dict) else {},
            )  # fmt: skip
        elif op == "retired":
            process.retired = message
        elif op == "drained":
            if process is self._keeper.agent.process:
                self._keeper.drain.answered(message)
        elif op == "call" and process.channel is not None:
            self._keeper.calls.handle(process.channel, message)

    def _sidecar_ready(self, component: Component, process: Process) -> None:
        if process.ready:
            return
        process.ready = True
        process.cancel_timers()
        self._keeper.event(
            "ready",
            component.name,
            f"after {time.monotonic() - process.started_s:.3f} s",
            {"pid": process.pid},
        )
        if process is component.process:
            component.state = parts.RUNNING
            self._keeper.starter.release_app()
            self._keeper.push_state()
        elif self._keeper.upgrade is not None:
            self._keeper.upgrade.successor_ready(component, process)

    def on_scribe(self) -> None:
        """Read what the scribe says."""
        channel = self._keeper.output.channel
        if channel is None:
            return
        for message, _ in channel.receive():
            self._keeper.watch.scribe_beat()
            op = message.get("op")
            if op in ("stats", "heartbeat"):
                self._scribe_stats(message.get("stats"))
            elif op == "drained":
                self._keeper.shutdown.drained(message)
        if channel.closed:
            self._keeper.loop.remove(channel.fileno())

    def _scribe_stats(self, stats: Json) -> None:
        if not isinstance(stats, dict):
            return
        before, self._keeper.output.stats = self._keeper.output.stats, stats
        for key, kind, words in (
            (
                "dropped_bytes",
                "output-lost",
                "bytes of output were dropped: the disk did not keep up",
            ),
            (
                "mirror_lost_bytes",
                "mirror-lost",
                "bytes of output were not shown: the terminal did not keep up",
            ),
            ("failures", "output-lost", "the spool cannot be written"),
        ):
            data = stats.get(key)
            if isinstance(data, dict) and data and data != before.get(key):
                self._keeper.event(kind, "scribe", words, data)

    def on_operator(self) -> None:
        """Accept an operator: the same user or root."""
        try:
            sock, _ = self._keeper.instance.sockets["keeper"].accept()
        except (BlockingIOError, ConnectionError):
            return
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        uid = int.from_bytes(credentials[4:8], "little")
        if uid not in (0, os.getuid()):
            sock.close()
            return
        channel = wire.Channel(sock)
        self.add_operator(channel)

    def add_operator(self, channel: wire.Channel) -> None:
        """Listen to an operator's connection."""
        self._keeper.loop.add(channel.fileno(), lambda: self._on_operator_message(channel))

    def _on_operator_message(self, channel: wire.Channel) -> None:
        for message, fds in channel.receive():
            for fd in fds:
                os.close(fd)
            if message.get("op") == "call":
                self._keeper.calls.handle(channel, message)
        channel.flush()
        if channel.closed:
            self._keeper.loop.remove(channel.fileno())
            channel.close()

    def on_notify(self) -> None:
        """Read what the app says by sd_notify, and do what it asks for."""
        keeper, said = self._keeper, self._keeper.notify
        beats, stopping = said.beats, said.stopping
        changed = notify.receive(
            keeper.instance.sockets["notify"], self._may_notify, said, self.heard, own=self._is_app
        )
        if said.beats > beats:
            keeper.watch.fed()
        self._carry_out(said)
        if said.stopping and not stopping:
            self._app_stops()
        ready = keeper.plan["app"]["ready"]
        if said.ready and ready is not None and "notify" in ready:
            keeper.starter.app_ready()
        if changed:
            self.push_state_soon()

    def _carry_out(self, said: notify.State) -> None:
        keeper, process = self._keeper, self._keeper.app.process
        if said.watchdog_s is not None and said.watchdog_s != keeper.watch.asked_s:
            keeper.watch.asked_s = said.watchdog_s
            if process is not None and process.ready:
                keeper.watch.arm_watchdog()
        if said.extend_s is not None:
            extension_s, said.extend_s = said.extend_s, None
            keeper.watch.extend(extension_s)
        if said.trigger:
            said.trigger = False
            if process is not None:
                keeper.watch.hang(keeper.app, process, "it asked for it: WATCHDOG=trigger")
        if said.store:
            said.store = False
            self._refuse_store()

    def _refuse_store(self) -> None:
        if self._store_refused:
            return
        self._store_refused = True
        self._keeper.event(
            "notify-refused",
            "app",
            "cannot keep descriptors (FDSTORE=1): there is no descriptor store, they were closed; said once in a run",
        )

    def _app_stops(self) -> None:
        """The app has begun to stop by itself: no heartbeat is expected any more, but an end is."""
        keeper, process = self._keeper, self._keeper.app.process
        keeper.watch.disarm_watchdog()
        if process is None or keeper.adopted is not None or keeper.shutdown.begun:
            return
        bound_s = keeper.plan["app"]["stop_timeout_s"]

        def kill() -> None:
            process.killed_because = f"did not stop within {bound_s:g} s of its STOPPING=1"
            keeper.event("killed", "app", process.killed_because, {"pid": process.pid})
            tree.signal_all([process.pid, *keeper.exits.app_pids(process)], signal.SIGKILL)

        process.timers.append(keeper.loop.after(bound_s, kill))

    def push_state_soon(self) -> None:
        """At once, and then at most every so often: an app may change its status a thousand times in a second."""
        if self._push is not None:
            self._push_again = True
            return
        self._keeper.push_state()
        self._push = self._keeper.loop.after(_PUSH_EVERY_S, self._pushed)

    def _pushed(self) -> None:
        self._push = None
        if self._push_again:
            self._push_again = False
            self.push_state_soon()

    def _is_app(self, pid: int) -> bool:
        """Whether a process is one of the app's: by its control group where there is one, else by its ancestors."""
        process = self._keeper.app.process
        if process is None:
            return False
        # The main process is known even when it has just ended.
        return pid == process.pid or pid in self._keeper.exits.app_pids(process)

    def _may_notify(self, pid: int) -> bool:
        """Whether a process may speak for the app (NotifyAccess of systemd.service(5)): all of its processes, unless it has said otherwise."""
        process, said = self._keeper.app.process, self._keeper.notify
        if process is None or said.access == "none":
            return False
        if said.access in ("main", "exec"):
            return pid in (process.pid, said.main_pid)
        return self._is_app(pid)
