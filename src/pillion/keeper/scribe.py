"""The scribe: owns the app's output, and guards the keeper.

Three threads, each waiting for one kind of thing alone: this one for pipes and the keeper, the spooler for the disk, the
mirrorer for the terminal. What the first reads is in shared memory at once, so neither of the others can hold the app up.
"""

from __future__ import annotations

import _thread
import os
import select
import time

from . import guard, posix
from .intake import Input
from .lean import signal
from .mirror import Mirror, open_target
from .mirrorer import Mirrorer
from .quota import Quota
from .ring import BLOCK, DROP_NEWEST, DROP_OLDEST, Ring
from .spool import segment_bytes
from .streams import API, EVENTS, SAID, SIDECAR, STDOUT, TRAFFIC
from .wire import Channel
from .writer import Spooler, StreamWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .intake import Pipe
    from .lean import socket
    from .plan import LogsPlan
    from .wire import Message

# Reads are paced under load: a pipe of 1 MiB holds far more than arrives in this time, and fewer, larger reads cost less.
_PACE_S = 0.005
_PACE_FROM_BYTES = 16 * 1024
_STATS_EVERY_S = 1.0
# A terminal that takes nothing for this long at the end is not waited for any longer.
_MIRROR_PATIENCE_S = 1.0
_SCRATCH_BYTES = 256 * 1024

# The journal and the sidecar's own output have quotas of their own, so that neither can push the other or the app's out.
_OWN_QUOTA_BYTES = 8 << 20


class Scribe:
    """The process itself. `run` returns when the keeper says so, or when the keeper is dead and everything is cleaned up."""

    def __init__(
        self,
        channel: socket.socket,
        keeper_pid: int,
        pipes: list[Pipe],
        logs: LogsPlan,
        state_dir: str,
        run: str,
    ) -> None:
        self._channel = Channel(channel)
        self._keeper = os.pidfd_open(keeper_pid)
        spool = f"{state_dir}/spool"
        self._inputs: list[Input] = []
        writers: list[StreamWriter] = []
        mirrors: list[Mirror] = []
        for pipe in pipes:
            # What is posted is treated as what is printed.
            plan = logs["streams"].get(STDOUT if pipe.name == API else pipe.name)
            full = plan["full"] if plan else DROP_OLDEST
            ring = Ring(pipe.memory, full)
            os.set_blocking(pipe.fd, False)
            self._inputs.append(Input(pipe, ring, full))
            directory = f"{spool}/{run}/{pipe.name}"
            # Segments are a fraction of the quota that they are under: with one as large, nothing could be dropped but everything.
            quota = _quota_bytes(pipe.name, logs)
            writer = StreamWriter(pipe.name, ring, directory, segment_bytes(quota))
            writers.append(writer)
            target = open_target(pipe.mirror_fd) if pipe.mirror_fd >= 0 else None
            if target is not None:
                mirrors.append(
                    Mirror(pipe.name, directory, target, ring.mirrored, ring.mark_mirrored)
                )
        positions = f"{state_dir}/positions"
        fulls = {plan["full"] for plan in logs["streams"].values()}
        full = next((f for f in (BLOCK, DROP_NEWEST) if f in fulls), DROP_OLDEST)
        quotas = [
            Quota(
                spool,
                frozenset(SAID),
                logs["spool_bytes"],
                logs["spool_age_s"],
                full,
                positions,
            ),
            Quota(
                spool,
                frozenset({EVENTS}),
                _OWN_QUOTA_BYTES,
                logs["spool_age_s"],
                DROP_OLDEST,
                positions,
            ),
            Quota(
                spool,
                frozenset({SIDECAR}),
                _OWN_QUOTA_BYTES,
                logs["spool_age_s"],
                DROP_OLDEST,
                positions,
            ),
            # Also where there is no ambassador any more: what its runs have left grows old too.
            Quota(
                spool,
                frozenset(TRAFFIC),
                _quota_bytes(TRAFFIC[0], logs),
                logs["spool_age_s"],
                DROP_OLDEST,
                positions,
            ),
        ]
        self._spooler = Spooler(writers, quotas, run, logs["spool_bytes"])
        self._mirrorer = Mirrorer(mirrors, {w.name: w for w in writers})
        self._progress = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._spooler.progress = [self._progress, self._mirrorer.wake]
        self._mirrorer.told = self._progress
        self._poll = select.epoll()
        self._tree = guard.Tree(run)
        self._scratch = bytearray(_SCRATCH_BYTES)
        self._reported: Message = {}
        self._report_at_s = 0.0
        self._report_later = False
        self._stopping = False

    def run(self) -> None:
        """Read until told to finish, or until the keeper is dead."""
        for source in self._inputs:
            self._poll.register(source.fd, select.EPOLLIN)
        self._poll.register(self._channel.fileno(), select.EPOLLIN)
        self._poll.register(self._progress, select.EPOLLIN)
        self._poll.register(self._keeper, select.EPOLLIN)
        _thread.start_new_thread(_own, (self._spooler.run,))
        if self._mirrorer.mirrors:
            _thread.start_new_thread(_own, (self._mirrorer.run,))
        os.eventfd_write(self._spooler.wake, 1)
        self._channel.send({"op": "ready"})
        while not self._stopping:
            events = dict(self._poll.poll(self._report_wait_s()))
            if self._keeper in events:
                self._guard()
                return
            self._turn(events)

    def _turn(self, events: dict[int, int]) -> None:
        if self._progress in events:
            posix.clear(self._progress)
            self._resume_blocked()
        if self._channel.fileno() in events:
            self._messages()
        most = self._read_ready(events)
        self._report(time.monotonic())
        if most >= _PACE_FROM_BYTES:
            time.sleep(_PACE_S)

    def _read_ready(self, events: dict[int, int]) -> int:
        """Read once from every pipe that has something; return the bytes by which the next read may be paced, 0 for at once."""
        most = 0
        for source in self._inputs:
            if source.fd not in events:
                continue
            count = source.read(self._scratch)
            if count >= source.pace_below:
                most = -(1 << 40)
            most += count
            if source.paused or source.ended:
                self._poll.unregister(source.fd)
        if most:
            os.eventfd_write(self._spooler.wake, 1)
        return most

    def _resume_blocked(self) -> None:
        for source in self._inputs:
            if source.paused and source.ring.reserve() is not None:
                source.paused = False
                self._poll.register(source.fd, select.EPOLLIN)

    def _messages(self) -> None:
        for message, fds in self._channel.receive():
            for fd in fds:
                os.close(fd)
            op = message.get("op")
            if op == "tree":
                self._tree.update(message)
            elif op == "ping":
                self._channel.send({"op": "heartbeat", "stats": self.stats()})
            elif op == "drain":
                complete = self.drain(_seconds(message))
                # The last losses, before anybody takes the count for final.
                self._report_at_s = 0.0
                self._report(time.monotonic())
                self._channel.send({"op": "drained", "id": message.get("id"), "complete": complete})
            elif op == "finish":
                self.drain(_seconds(message))
                self._stopping = True
        if self._channel.closed:
            # The keeper is gone or going; its pidfd tells which, and the guard does the rest.
            self._poll.unregister(self._channel.fileno())

    def drain(self, bound_s: float) -> bool:
        """Bring what is in the pipes to disk and terminal within `bound_s`; True when everything got there."""
        deadline_s = time.monotonic() + bound_s
        while self._read_all() and time.monotonic() < deadline_s:
            os.eventfd_write(self._spooler.wake, 1)
        os.eventfd_write(self._spooler.wake, 1)
        self._mirrorer.finish()
        handed, patience_s = -1, deadline_s
        while not self._is_drained():
            now_s = time.monotonic()
            if self._mirrorer.handed != handed:
                handed, patience_s = self._mirrorer.handed, now_s + _MIRROR_PATIENCE_S
            left_s = deadline_s - now_s
            if left_s <= 0 or (now_s >= patience_s and self._is_spooled()):
                return False
            wait = select.poll()
            wait.register(self._progress, select.POLLIN)
            if wait.poll(min(left_s, 0.02) * 1000):
                posix.clear(self._progress)
            self._read_all()
        return True

    def _read_all(self) -> bool:
        busy = False
        for source in self._inputs:
            if not source.ended and source.read(self._scratch):
                busy = True
        return busy

    def _is_spooled(self) -> bool:
        return all(source.ring.pending_bytes == 0 for source in self._inputs)

    def _is_drained(self) -> bool:
        return self._is_spooled() and self._mirrorer.is_drained()

    def _report_wait_s(self) -> float | None:
        """How long until something that may be new is told; None when nothing is."""
        return max(0.0, self._report_at_s - time.monotonic()) if self._report_later else None

    def _report(self, now_s: float) -> None:
        """Tell the keeper what was lost or failed, when it changed, at most once a second."""
        self._report_later = now_s < self._report_at_s
        if self._report_later:
            return
        self._report_at_s = now_s + _STATS_EVERY_S
        stats = self.stats()
        if stats != self._reported:
            self._reported = stats
            self._channel.send({"op": "stats", "stats": stats})

    def stats(self) -> Message:
        """Return counters: bytes dropped by the ring and failures by stream, bytes not mirrored."""
        return {
            "dropped_bytes": {s.name: s.ring.dropped for s in self._inputs if s.ring.dropped},
            "failures": {w.name: w.failure for w in self._spooler.streams if w.failure},
            "mirror_lost_bytes": {m.name: m.lost for m in self._mirrorer.mirrors if m.lost},
            "over_quota": int(self._spooler.over_quota),
        }

    def _guard(self) -> None:
        """The keeper is dead: drain, end what it left, drain again."""
        deadline_s = self._tree.terminate_app()
        while not self._tree.app_is_gone():
            if deadline_s is not None and time.monotonic() >= deadline_s:
                self._tree.kill_app()
                deadline_s = None
            self._read_all()
            os.eventfd_write(self._spooler.wake, 1)
            time.sleep(0.02)
        self._tree.journal(self._inputs_by_name(EVENTS))
        self.drain(self._tree.drain_s)
        self._tree.end_sidecar()
        # The sidecar's last words: records of requests, for instance, that a worker had gathered.
        self.drain(self._tree.drain_s)
        self._tree.clear()

    def _inputs_by_name(self, name: str) -> Ring | None:
        return next((source.ring for source in self._inputs if source.name == name), None)


def _own(body: Callable[[], None]) -> None:
    """Run a thread for ever. One that fails takes the scribe with it: the next one goes on where the rings' books stand, a half one would not."""
    try:
        body()
    except BaseException as error:  # noqa: BLE001 # whatever it is, the thread is gone
        posix.fail("scribe", error)


def _quota_bytes(stream: str, logs: LogsPlan) -> int:
    """Return how much the streams that share a quota with this one may take on disk."""
    if stream in SAID:
        return logs["spool_bytes"]
    if stream in TRAFFIC:
        # Beside what the app says, not in place of it.
        return max(_OWN_QUOTA_BYTES, logs["spool_bytes"] // 2)
    return _OWN_QUOTA_BYTES


def _seconds(message: Message) -> float:
    bound = message.get("bound_s")
    return float(bound) if isinstance(bound, (int, float)) else 5.0


def prepare() -> None:
    """Become the scribe: a session of its own, deaf to the signals that end others."""
    os.setsid()
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGQUIT,
        signal.SIGPIPE,
    ):
        signal.signal(number, signal.SIG_IGN)
    posix.set_comm("pillion-scribe")
