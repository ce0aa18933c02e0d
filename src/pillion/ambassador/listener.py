"""Accepting: connections of the keeper's sockets become protocols, a few at a time, for other workers accept on the same sockets.

A connection is handed on when everything that comes before its first own byte is over: the PROXY header, the TLS handshake and
the check of the client's names. Until then it is bounded in time, and all of them together in number.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import msgspec

from pillion.base.tasks import RootTasks
from pillion.errors import PillionError

from .peer import PLAIN, SECURE, Peer
from .transports import hold_little

if TYPE_CHECKING:
    from .tls import TlsServer

ACCEPTS_IN_A_ROW = 4
"""A wake-up takes no more, so that the other workers get some; what is left wakes us up again."""
EXHAUSTED_S = 0.2
"""The pause after an accept that failed for want of descriptors or memory: the backlog stays readable, and we would spin."""
FREED_S = 0.005
"""The pause when a connection of ours has ended meanwhile: its descriptor is free a moment later."""
HANDSHAKE_S = 10.0
"""The longest TLS handshake, and the longest wait for a PROXY header."""
SHUTDOWN_S = 30.0
"""The longest flush and closing handshake of TLS."""

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

Factory = Callable[[Peer], asyncio.Protocol]


class EdgeCounters(msgspec.Struct):
    """What listeners count; `open` and `opening` are present numbers, the rest totals."""

    accepted: int = 0
    open: int = 0
    """Accepted and not yet over, those in a handshake included."""
    opening: int = 0
    """Those before their first own byte: PROXY header, TLS handshake."""
    full: int = 0
    """How often a listener stopped accepting because it had its most."""
    accept_errors: int = 0
    """Accepts that failed, for want of descriptors for instance."""
    handshake_errors: int = 0
    """TLS handshakes that failed, by a certificate for instance."""
    handshake_timeouts: int = 0
    """Peers that were too slow with a PROXY header or a TLS handshake."""
    names_refused: int = 0
    """Clients whose certificate is good, but whose name is not allowed."""
    proxy_refused: int = 0
    """Connections without the PROXY header that they should have begun with, or with a bad one."""

    def as_dict(self) -> dict[str, int]:
        """Return the counters as plain data."""
        return msgspec.structs.asdict(self)


class Listener:
    """Accepts on `sock` (bound and listening, kept by the caller: never closed here) once `resume` is called; made inside a running loop.

    `factory` makes the protocol of each connection from its `Peer`; with TLS after the handshake, whose names it then
    has. At most `most` connections are open at once; the next ones wait in the backlog. Every protocol calls
    `peer.left()` when its connection is lost.
    """

    def __init__(
        self,
        name: str,
        sock: socket.socket,
        *,
        factory: Factory,
        tls: "TlsServer | None" = None,
        proxy_protocol: bool = False,
        most: int = 10_000,
        counters: EdgeCounters,
        tasks: RootTasks,
        handshake_s: float = HANDSHAKE_S,
    ) -> None:
        sock.setblocking(False)
        self.name = name
        self.open = 0
        self.most = most
        self._sock = sock
        self._factory = factory
        self._tls = tls
        self._proxy_protocol = proxy_protocol
        self._counters = counters
        self._tasks = tasks
        self._handshake_s = handshake_s
        self._task_name = f"{name} accept"
        self._loop = asyncio.get_running_loop()
        self._wanted = False
        self._closed = False
        self._watching = False
        self._again: asyncio.TimerHandle | None = None
        self._freed = False
        self._opening: set[asyncio.Task[None]] = set()

    @property
    def accepting(self) -> bool:
        """Whether connections are accepted at this moment."""
        return self._watching

    @property
    def opening(self) -> int:
        """How many connections are accepted, but not yet handed on."""
        return len(self._opening)

    def configure(self, *, most: int, tls: "TlsServer | None", proxy_protocol: bool) -> None:
        """Take other settings, for connections from now on."""
        self.most = most
        self._tls = tls
        self._proxy_protocol = proxy_protocol
        self._watch()

    def resume(self) -> None:
        """Accept, from now on or again."""
        self._wanted = not self._closed
        self._watch()

    def pause(self) -> None:
        """Leave new connections in the backlog (where other workers find them); those that were accepted go on."""
        self._wanted = False
        self._watch()

    def close(self) -> None:
        """Accept no more, and cut what is not handed on yet. What was handed on is its protocol's."""
        self._closed = True
        self.pause()
        if self._again is not None:
            self._again.cancel()
            self._again = None
        for task in tuple(self._opening):
            task.cancel()

    async def settled(self, within_s: float) -> None:
        """Wait until no connection is between accept and hand-over, at most `within_s` seconds."""
        if self._opening:
            await asyncio.wait(set(self._opening), timeout=within_s)

    def _watch(self) -> None:
        wanted = self._wanted and self._again is None and self.open < self.most
        if wanted and not self._watching:
            self._watching = True
            self._loop.add_reader(self._sock.fileno(), self._accept)
        elif not wanted and self._watching:
            self._watching = False
            self._loop.remove_reader(self._sock.fileno())

    def _accept(self) -> None:
        for _ in range(ACCEPTS_IN_A_ROW):
            if not self._watching:
                return
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return  # another worker was faster
            except ConnectionError:
                continue  # it left while it waited
            except OSError as error:
                if error.errno == errno.EINVAL:
                    # The keeper has shut it down, which makes it readable for ever; we are told that it is gone soon.
                    self.pause()
                    return
                self._counters.accept_errors += 1
                if error.errno in _EXHAUSTED:
                    self._again = self._loop.call_later(EXHAUSTED_S, self._try_again)
                    self._watch()
                return
            self._open(sock, address)

    def _try_again(self) -> None:
        self._again = None
        self._freed = False
        self._watch()

    def _open(self, sock: socket.socket, address: object) -> None:
        sock.setblocking(False)
        counters = self._counters
        counters.accepted += 1
        counters.open += 1
        counters.opening += 1
        self.open += 1
        if self.open >= self.most:
            counters.full += 1
            self._watch()
        host, port = _host_and_port(address)
        peer = Peer(host, port, listener=self.name, gone=self._left)
        try:
            task = self._tasks.start(self._task_name, self._hand_on(sock, peer), may_end=True)
        except PillionError:
            counters.opening -= 1
            counters.accept_errors += 1
            sock.close()
            peer.left()
            return
        self._opening.add(task)
        task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._counters.opening -= 1

    def _left(self) -> None:
        self.open -= 1
        self._counters.open -= 1
        if self._again is not None:
            if not self._freed:
                self._freed = True
                self._again.cancel()
                self._again = self._loop.call_later(FREED_S, self._try_again)
        elif not self._watching:
            self._watch()

    async def _hand_on(self, sock: socket.socket, peer: Peer) -> None:
        """Make a connection of an accepted socket; whatever goes wrong is counted and costs this connection alone."""
        handed = False
        try:
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer.server_address, peer.server_port = _host_and_port(sock.getsockname())
            if self._proxy_protocol and not await self._read_proxy_header(sock, peer):
                return
            tls = self._tls
            if tls is None:
                peer.scheme = PLAIN
                protocol = self._factory(peer)
                await self._loop.connect_accepted_socket(lambda: protocol, sock)
                handed = True
            else:
                peer.scheme = SECURE
                gate = _Gate(self, peer, tls)
                handed = await self._handshake(sock, tls, gate) and gate.passed
        except OSError:
            self._counters.accept_errors += 1
        finally:
            if not handed:
                # A transport that was made of it has it closed already, which is harmless.
                sock.close()
                peer.left()

    async def _read_proxy_header(self, sock: socket.socket, peer: Peer) -> bool:
        # Imported by those who expect one.
        from .preface import read_preface
        from .proxy_protocol import ProxyProtocolError

        try:
            said = await read_preface(sock, self._handshake_s)
        except TimeoutError:
            self._counters.handshake_timeouts += 1
            return False
        except (ProxyProtocolError, ConnectionError):
            self._counters.proxy_refused += 1
            return False
        if said.source:
            peer.address, peer.port = said.source, said.source_port
            peer.server_address, peer.server_port = said.destination, said.destination_port
        return True

    async def _handshake(self, sock: socket.socket, tls: "TlsServer", gate: "_Gate") -> bool:
        if not tls.ready:
            self._counters.handshake_errors += 1
            return False
        try:
            await self._loop.connect_accepted_socket(
                lambda: gate,
                sock,
                ssl=tls.context,
                ssl_handshake_timeout=self._handshake_s,
                ssl_shutdown_timeout=SHUTDOWN_S,
            )
        except ConnectionAbortedError:
            self._counters.handshake_timeouts += 1
            return False
        except OSError:  # ssl.SSLError is one
            self._counters.handshake_errors += 1
            return False
        return True


class _Gate(asyncio.Protocol):
    """Stands in for the real protocol until the handshake is over, and lets the names pass that are allowed."""

    __slots__ = ("_listener", "_peer", "_tls", "passed")

    def __init__(self, listener: Listener, peer: Peer, tls: "TlsServer") -> None:
        self._listener = listener
        self._peer = peer
        self._tls = tls
        self.passed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)
        hold_little(transport)
        peer = self._peer
        peer.names = self._tls.names_of(transport.get_extra_info("peercert"))
        if not self._tls.allows(peer.names):
            self._listener._counters.names_refused += 1
            transport.close()
            return
        protocol = self._listener._factory(peer)
        self.passed = True
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


def _host_and_port(address: object) -> tuple[str, int]:
    """The first two parts of a socket address; nothing for a Unix socket's."""
    if isinstance(address, tuple):
        host, port = address[:2]
        if host.startswith("::ffff:") and "." in host:
            host = host[7:]  # IPv4 on a dual socket: the same peer has one name
        return host, port
    return "", 0
