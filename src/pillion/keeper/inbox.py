"""What others say to the keeper: its children, operators on its own socket, and the app by sd_notify."""

from __future__ import annotations

import os
import socket
import time

from . import component as parts
from . import notify, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .component import Component, Process
    from .keeper import Keeper
    from .wire import Json, Message


class Inbox:
    """Reads every message as it comes, and passes it to whom it concerns."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

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
        process.heart.beat()
        op = message.get("op")
        if op == "hello":
            version = message.get("version")
            process.version = version if isinstance(version, str) else None
        elif op == "ready":
            self._sidecar_ready(component, process)
        elif op == "heartbeat":
            stats = message.get("stats")
            process.stats = stats if isinstance(stats, dict) else {}
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
            self._keeper.watch.scribe_heart.beat()
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
        """Read what the app says by sd_notify."""
        changed = notify.receive(
            self._keeper.instance.sockets["notify"], self._may_notify, self._keeper.notify
        )
        if (
            self._keeper.watch.watchdog is not None
            and self._keeper.notify.beats > self._keeper.watch.watchdog_beats
        ):
            self._keeper.watch.watchdog_beats = self._keeper.notify.beats
            self._keeper.watch.watchdog.beat()
        ready = self._keeper.plan["app"]["ready"]
        if self._keeper.notify.ready and ready is not None and "notify" in ready:
            self._keeper.starter.app_ready()
        if changed:
            self._keeper.push_state()

    def _may_notify(self, pid: int, uid: int) -> bool:
        """A process of the app, by its control group where there is one, else by its user."""
        process = self._keeper.app.process
        if process is None:
            return False
        if process.group.tracked:
            return pid in process.group.pids()
        return uid in (0, os.getuid())
