"""The server: accepting, sweeping, draining, and what all its connections share."""

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import Callable, Coroutine
from typing import cast

import msgspec

from pillion.http.handover import HandoverError, HandoverSender

from .connection import GONE, IDLE, LINGER, Connection
from .date import http_date
from .limits import ServerLimits
from .messages import Handler, Peer, Request
from .shared import Shared

_ACCEPTS_IN_A_ROW = 64
_SWEPT_IN_A_ROW = 500
_LAST_WRITES_S = 1.0
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

OnError = Callable[[BaseException, Request | None], None]


class Drained(msgspec.Struct, frozen=True):
    """What became of the connections: passed on, ended in order, cut by the bound."""

    handed: int
    closed: int
    cut: int


class Ticks(msgspec.Struct, frozen=True):
    """The time limits in sweeps."""

    header: int
    idle: int
    body: int
    write: int
    linger: int

    @classmethod
    def of(cls, limits: ServerLimits) -> "Ticks":
        """Round every limit up to whole sweeps."""
        sweep = limits.sweep_s()

        def ticks(seconds: float) -> int:
            return max(1, -int(-seconds // sweep))

        return cls(
            header=ticks(limits.header_timeout_s),
            idle=ticks(limits.idle_timeout_s),
            body=ticks(limits.body_timeout_s),
            write=ticks(limits.write_timeout_s),
            linger=ticks(limits.linger_s),
        )


class Server(Shared):
    """Serves HTTP/1.1 on sockets that someone else has bound; made inside a running loop.

    `handler` is called with each Request; when it returns a Response with a bytes body, no task is
    made. `on_error` is told of everything a handler raised that is no Refusal.
    """

    def __init__(
        self,
        handler: Handler,
        limits: ServerLimits | None = None,
        *,
        on_error: OnError | None = None,
        name: str = "http",
    ) -> None:
        super().__init__(handler, limits or ServerLimits())
        self.name = name
        self.ticks = Ticks.of(self.limits)
        self.date_line = _date_line()
        self._on_error = on_error
        self._sockets: dict[socket.socket, str] = {}
        self._watched: set[socket.socket] = set()
        self._accepting = True
        self._exhausted = False
        self._opening: set[asyncio.Task[None]] = set()
        self._connections: dict[Connection, None] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    # Accepting.

    def serve(self, sock: socket.socket, listener: str | None = None) -> None:
        """Accept on `sock` (Unix stream or TCP, bound and listening), unless accepting is paused.

        The socket stays the caller's: it is never closed here. `listener` names it for handlers
        and for a hand-over: "unix" or "tcp" when left out.
        """
        sock.setblocking(False)
        family = "unix" if sock.family == socket.AF_UNIX else "tcp"
        self._sockets[sock] = family if listener is None else listener
        self._watch()

    def pause_accepting(self) -> None:
        """Leave new connections in the backlog; those already accepted are served."""
        self._accepting = False
        self._watch()

    def resume_accepting(self) -> None:
        """Accept again."""
        self._accepting = True
        self._watch()

    @property
    def accepting(self) -> bool:
        """Whether connections are accepted at present."""
        return bool(self._watched)

    def adopt(self, sock: socket.socket, listener: str = "") -> None:
        """Serve a connection that another process had served before (see `http.handover`)."""
        sock.setblocking(False)
        self.counters.adopted += 1
        self._open(sock, listener, served=True)

    def _watch(self) -> None:
        room = len(self._connections) + len(self._opening) < self.limits.max_connections
        wanted = self._accepting and room and not self._exhausted
        for sock in self._sockets:
            if wanted and sock not in self._watched:
                self._watched.add(sock)
                self.loop.add_reader(sock.fileno(), self._accept, sock)
            elif not wanted and sock in self._watched:
                self._watched.discard(sock)
                self.loop.remove_reader(sock.fileno())

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTS_IN_A_ROW):
            if listening not in self._watched:
                return
            try:
                sock, _address = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # it left while it waited
            except OSError as error:
                self.counters.accept_errors += 1
                if error.errno in _EXHAUSTED:
                    # The backlog stays readable: without a pause we would spin until one is free.
                    self._exhausted = True
                    self._watch()
                    self._sweep_later()
                return
            sock.setblocking(False)
            self.counters.accepted += 1
            self._open(sock, self._sockets[listening], served=False)
            if len(self._connections) + len(self._opening) >= self.limits.max_connections:
                self._watch()

    def _open(self, sock: socket.socket, listener: str, *, served: bool) -> None:
        task = self.loop.create_task(
            self._connect(sock, listener, served=served), name=f"{self.name} accept"
        )
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self, sock: socket.socket, listener: str, *, served: bool) -> None:
        try:
            peer = Peer.of(sock)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(self, peer, listener, served=served)
            # A compiled class cannot be derived from asyncio's, and need not: the methods count.
            protocol = cast("asyncio.Protocol", connection)
            await self.loop.connect_accepted_socket(lambda: protocol, sock)
        except OSError as error:
            sock.close()
            self.counters.accept_errors += 1
            self.failed(error, None)

    # What connections tell.

    def opened(self, connection: Connection) -> None:
        """Register a connection."""
        self._connections[connection] = None
        self.counters.open += 1
        self._sweep_later()

    def closed(self, connection: Connection) -> None:
        """Forget a connection, and accept again if that made room."""
        self._connections.pop(connection, None)
        self.counters.open -= 1
        self._changed.set()
        if self._sockets and not self._watched:
            self._watch()

    def changed(self) -> None:
        """Wake up a drain: a connection has become idle, or lingers."""
        self._changed.set()

    def failed(self, error: BaseException, request: Request | None) -> None:
        """Count and report what a handler raised."""
        self.counters.failures += 1
        if self._on_error is not None:
            self._on_error(error, request)

    def start(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Start a handler's task, and own it until it ends."""
        task = self.loop.create_task(work, name=f"{self.name} {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Timeouts.

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            self.date_line = _date_line()
            self._sweeper = self.loop.call_later(self.limits.sweep_s(), self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        self.tick += 1
        self._exhausted = False
        if self._sockets:
            self._watch()
        self._sweep_some(list(self._connections))

    def _sweep_some(self, connections: list[Connection]) -> None:
        """Look at some connections, and let others run before the rest: no callback is long."""
        for connection in connections[-_SWEPT_IN_A_ROW:]:
            connection.sweep(self.tick)
        del connections[-_SWEPT_IN_A_ROW:]
        if connections:
            self.loop.call_soon(self._sweep_some, connections)
        elif self._connections:
            self._sweep_later()

    # Ending.

    async def drain(self, deadline_s: float, handover: socket.socket | None = None) -> Drained:
        """Stop accepting and end every connection without failing a request, within `deadline_s`.

        With `handover`, connections are passed to the successor as soon as they are idle: at once,
        or after the answer under way. Without it (or when nobody takes them), the next answer on
        each carries Connection: close, and we wait for the client to close; those still idle at
        the deadline are closed. A connection that has not asked anything yet counts as busy: it is
        waited for, and at the deadline passed on if possible. What is still busy then is cut.
        """
        deadline = self.loop.time() + deadline_s
        self.pause_accepting()
        if self._opening:
            await asyncio.wait(set(self._opening), timeout=deadline_s)
        self.draining = True
        sender = None if handover is None else HandoverSender(handover)
        self.closing_answers = sender is None
        at_start = len(self._connections)
        handed = 0
        while self._connections:
            self._changed.clear()
            if sender is not None:
                try:
                    async with asyncio.timeout_at(deadline):
                        handed += await self._hand_over(sender)
                except (HandoverError, TimeoutError) as error:
                    self.failed(error, None)
                    sender = None
                    self.closing_answers = True
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                break
        if sender is not None:
            with contextlib.suppress(HandoverError, TimeoutError):
                async with asyncio.timeout(_LAST_WRITES_S):
                    handed += await self._hand_over(sender, fresh=True)
                    await sender.end(handed)
        cut = self._cut()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WRITES_S):
                await self._gone()
        return Drained(handed, max(0, at_start - handed - cut), cut)

    async def _hand_over(self, sender: HandoverSender, *, fresh: bool = False) -> int:
        """Pass on what is idle; with `fresh` also those that have not asked anything yet."""
        handed = 0
        for connection in list(self._connections):
            if not connection.idle and not (fresh and connection.silent):
                continue
            # What arrives from now on stays in the kernel, and goes along.
            connection.pause_reading()
            try:
                await sender.send(connection.listener, connection.descriptor())
            except BaseException:
                connection.resume_reading()
                raise
            connection.abort()
            handed += 1
        return handed

    def _cut(self) -> int:
        """End what is left at the deadline; return how many of them were busy."""
        cut = 0
        for connection in list(self._connections):
            if connection.state in (IDLE, LINGER):
                connection.close()
            elif connection.state != GONE:
                cut += 1
                connection.abort()
        return cut

    async def close(self) -> None:
        """End everything now: stop accepting, drop every connection. Sockets stay open."""
        self.pause_accepting()
        self._sockets.clear()
        if self._opening:
            await asyncio.wait(set(self._opening), timeout=1.0)
        for connection in list(self._connections):
            connection.abort()
        await self._gone()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=_LAST_WRITES_S)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    async def _gone(self) -> None:
        while self._connections:
            self._changed.clear()
            await self._changed.wait()


def _date_line() -> bytes:
    return b"date: " + http_date(time.time()).encode() + b"\r\n"
