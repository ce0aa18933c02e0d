"""A child's end of the wire to the keeper, on asyncio: it never blocks the loop and never grows.

Heartbeats are sent from the loop itself and by nothing else, so that a hung loop falls silent and the
keeper notices. What a keeper that does not read would pile up is bounded; what is dropped is counted.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pillion import __version__
from pillion.base.control_calls import Calls
from pillion.base.control_counters import Counters, LoopLag
from pillion.base.control_messages import (
    DESCRIPTORS,
    MESSAGE_BYTES,
    Call,
    Drain,
    Drained,
    Heartbeat,
    Hello,
    Listeners,
    Occurred,
    Outgoing,
    Promote,
    Ready,
    Reload,
    Reply,
    Retire,
    Retired,
    StateChanged,
    Stop,
    decode,
    encode,
)
from pillion.errors import RefusedError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.base.control_handlers import Handlers
    from pillion.model.event import Json
    from pillion.model.place import Place
    from pillion.model.stats import Stats

T = TypeVar("T")

CALL_TIMEOUT_S = 10.0
OUTBOX_MESSAGES = 256
# A process that has used less than this since its last heartbeat has next to nothing to tell, for a while.
IDLE_CPU_S = 0.001
STATS_EVERY_S = 30.0
# Whoever wants beats oftener than this wants their numbers too.
SELDOM_S = 5.0


class Control:
    """The wire between this child and its keeper.

    Construct it inside the running loop, then `start`. It owns the descriptor `place.fds["control"]`,
    or `sock` when one is given. `stats` is asked for a new dictionary at every heartbeat.
    """

    def __init__(
        self,
        place: Place,
        handlers: Handlers,
        *,
        stats: Callable[[], Stats] = dict,
        sock: socket.socket | None = None,
    ) -> None:
        self.place = place
        self.handlers = handlers
        self.counters = Counters()
        self.lag = LoopLag()
        self._stats = stats
        self._sock = sock if sock is not None else socket.socket(fileno=place.fds["control"])
        self._sock.setblocking(False)
        self._sock.set_inheritable(False)
        self._loop = asyncio.get_running_loop()
        self._calls = Calls(self._loop)
        self._outbox: deque[bytes] = deque()
        self._sent = asyncio.Event()
        self._sent.set()
        self._heartbeat: asyncio.TimerHandle | None = None
        self._cpu_s = 0.0
        self._told_s = 0.0
        self._closed = False

    @property
    def closed(self) -> bool:
        """True once the keeper's end is gone or `close` was called."""
        return self._closed

    def start(self) -> None:
        """Say hello, send the first heartbeat and listen."""
        self._loop.add_reader(self._sock, self._readable)
        self._send(Hello(role=self.place.role, version=__version__))
        self._beat(self._loop.time())

    def ready(self) -> None:
        """Tell the keeper that this child serves, or would serve if promoted."""
        self._send(Ready())

    def event(
        self, kind: str, reason: str, *, component: str = "", data: dict[str, Json] | None = None
    ) -> None:
        """Put an entry into the journal; `component` is this child when not given."""
        self._send(
            Occurred(kind, component or self.place.component or self.place.role, reason, data or {})
        )

    def retired(self, handed: int, cut: int) -> None:
        """Tell the keeper what became of the connections after a retire."""
        self._send(Retired(handed, cut))

    async def call(
        self,
        method: str,
        params: object,
        result: type[T],
        *,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> T:
        """Ask the keeper and return its answer as a `result`; `params` is anything msgspec encodes.

        Raises `RefusedError` for the keeper's no (413 for a call longer than a message may be),
        `UnreachableError` when it is gone, says nothing within `timeout_s` seconds, or says what
        cannot be read.
        """
        number, future = self._calls.open(method, timeout_s)
        try:
            if not self._send(Call(number, method, params)):
                raise UnreachableError(
                    f"cannot call {method}: the keeper does not listen; look at `pillion status`"
                )
            answer = await future
        finally:
            self._calls.close(number)
        try:
            return msgspec.json.decode(answer, type=result)
        except msgspec.DecodeError as error:
            raise UnreachableError(
                f"cannot read the keeper's answer to {method}: {error}; "
                "upgrade the keeper too with `pillion upgrade --keeper`"
            ) from error

    async def flush(self, within_s: float) -> bool:
        """Wait until everything is sent, at most `within_s` seconds; False when something was left."""
        try:
            await asyncio.wait_for(self._sent.wait(), within_s)
        except TimeoutError:
            return False
        return not self._closed

    def close(self) -> None:
        """Stop heartbeats and close the socket; calls under way end with `UnreachableError`."""
        if self._closed:
            return
        self._closed = True
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        self.counters.dropped += len(self._outbox)
        self._outbox.clear()
        self._sent.set()
        self._calls.lost()

    def _beat(self, due: float) -> None:
        now = self._loop.time()
        self.lag.observe(now - due)
        if not self._outbox:  # a keeper that does not read learns nothing from a queue of these
            self._send(Heartbeat(self._stats_when_due(now)))
        if not self._closed:
            due = now + self.place.heartbeat_s
            self._heartbeat = self._loop.call_at(due, self._beat, due)

    def _stats_when_due(self, now: float) -> Stats | None:
        """The counts, or None where an idle process would only say again what it said: two hundred of them beat on one host."""
        cpu_s = time.process_time()
        idle = (
            self.place.heartbeat_s >= SELDOM_S
            and cpu_s - self._cpu_s < IDLE_CPU_S
            and now - self._told_s < STATS_EVERY_S
        )
        self._cpu_s = cpu_s
        if idle:
            return None
        self._told_s = now
        stats = self._stats()
        stats["loop_lag_seconds"] = self.lag.last_s
        stats["loop_lag_worst_seconds"] = self.lag.worst_s
        stats["control_dropped_total"] = self.counters.dropped
        return stats

    def _send(self, message: Outgoing) -> bool:
        """Send or queue; False when the wire is closed or the outbox is full."""
        datagram = encode(message)
        if len(datagram) > MESSAGE_BYTES:
            self.counters.dropped += 1
            if isinstance(message, Call):
                raise RefusedError(
                    413,
                    "the call is too long",
                    f"cannot send {message.method}: {len(datagram)} bytes are more than {MESSAGE_BYTES}",
                )
            return False
        # Hello, ready, drained and retired are few and must arrive; everything else has its bound.
        few = isinstance(message, Hello | Ready | Retired | Drained)
        if self._closed or (len(self._outbox) >= OUTBOX_MESSAGES and not few):
            self.counters.dropped += 1
            return False
        self._outbox.append(datagram)
        if self._sent.is_set():
            self._sent.clear()
            self._write(first=True)
        return not self._closed

    def _write(self, *, first: bool = False) -> None:
        try:
            while self._outbox:
                self._sock.send(self._outbox[0])
                self._outbox.popleft()
        except (BlockingIOError, InterruptedError):
            if first:
                self._loop.add_writer(self._sock, self._write)
            return
        except OSError:
            self._lost()
            return
        if not first:
            self._loop.remove_writer(self._sock)
        self._sent.set()

    def _readable(self) -> None:
        # Bounded, so that a chatty keeper cannot keep the loop; what is left wakes it again.
        for _ in range(16):
            if self._closed:
                return
            try:
                # Not socket.recv_fds: Python 3.11's forgets its flags, and the descriptor would be inherited.
                datagram, ancillary, _, _ = self._sock.recvmsg(
                    MESSAGE_BYTES, socket.CMSG_SPACE(4 * DESCRIPTORS), socket.MSG_CMSG_CLOEXEC
                )
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._lost()
                return
            passed = [socket.socket(fileno=one) for one in _descriptors(ancillary)]
            if not datagram:
                self._lost()
            else:
                self._received(datagram, passed)
            for one in passed:
                one.close()

    def _received(self, datagram: bytes, passed: list[socket.socket]) -> None:
        try:
            message = decode(datagram)
        except msgspec.DecodeError:
            self.counters.malformed += 1
            return
        match message:
            case Reply():
                self._calls.answered(message)
            case Promote():
                self.handlers.promote()
            case Retire():
                self.handlers.retire(message.drain_s, passed.pop() if passed else None)
            case Drain():
                self._send(Drained(self.handlers.drain(message.pid)))
            case Stop():
                self.handlers.stop(message.grace_s)
            case Reload():
                self.handlers.reload()
            case Listeners():
                self._listeners(message, passed)
            case StateChanged():
                self.handlers.state(message.state)
            case None:
                self.counters.unknown += 1

    def _listeners(self, message: Listeners, passed: list[socket.socket]) -> None:
        if len(message.added) != len(passed):
            self.counters.malformed += 1  # the process has no room for more descriptors
            return
        added = dict(zip(message.added, passed, strict=True))
        passed.clear()
        self.handlers.listeners(added, message.gone)

    def _lost(self) -> None:
        if not self._closed:
            self.close()
            self.handlers.lost()


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    return [
        descriptor
        for level, kind, data in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for (descriptor,) in struct.iter_unpack("i", data[: len(data) - len(data) % 4])
    ]
