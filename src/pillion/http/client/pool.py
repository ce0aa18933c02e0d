"""Connections kept per origin, within bounds: how many at all, how many idle, and for how long."""

import asyncio
import socket
import ssl
from collections import deque
from typing import NamedTuple

import msgspec

from pillion.http.codec import UNBOUNDED, Limits

from .errors import ConnectError, Timeout
from .wire import Wire


class ClientLimits(msgspec.Struct, frozen=True):
    """Bounds of a client; times in seconds."""

    connect_timeout_s: float = 5.0
    """For a connection, a place in the pool included."""
    read_timeout_s: float = 30.0
    """Between two pieces of an answer, and for the peer to take a piece of the request."""
    total_timeout_s: float | None = 60.0
    """From the call to the end of the body; None for streams without end."""
    max_connections: int = 32
    """Per origin; above it callers wait."""
    max_idle: int = 8
    """Per origin; above it connections are closed after use."""
    idle_timeout_s: float = 4.0
    """An idle connection is given up before the server does so (Node.js: 5 s)."""
    max_origins: int = 256
    """With idle connections; the one longest out of use is forgotten above it."""
    codec: Limits = msgspec.field(default_factory=lambda: Limits(body_bytes=UNBOUNDED))
    """Bodies are bounded by whoever reads them: streams have no end."""


class ClientCounters(msgspec.Struct):
    """Totals since the start."""

    connected: int = 0
    reused: int = 0
    repeated: int = 0
    """Requests sent again because a kept connection had gone stale."""
    dropped: int = 0
    """Idle connections closed for want of room or for age."""


class Origin(NamedTuple):
    """Where connections go: `path` is that of a Unix socket, or empty."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else f"{self.host}:{self.port}"


class Place:
    """What the pool knows of one origin."""

    __slots__ = ("idle", "open", "waiters")

    def __init__(self) -> None:
        self.idle: deque[Wire] = deque()
        self.open = 0
        self.waiters: deque[asyncio.Future[None]] = deque()


class Pool:
    """Hands out connections, and takes them back."""

    def __init__(self, limits: ClientLimits, context: ssl.SSLContext | None) -> None:
        self.counters = ClientCounters()
        self._limits = limits
        self._context = context
        self._places: dict[Origin, Place] = {}
        self._wires: set[Wire] = set()
        self._closed = False

    async def take(self, origin: Origin, *, fresh: bool = False) -> Wire:
        """Return a connection, kept or new; only a new one if `fresh`, giving up those kept.

        Raise ConnectError or Timeout.
        """
        if self._closed:
            raise ConnectError(f"cannot connect to {origin}: the client is closed")
        place = self._places.pop(origin, None) or Place()
        self._places[origin] = place  # at the end: in use last
        now = asyncio.get_running_loop().time()
        while place.idle:
            wire = place.idle.pop()
            young = now - wire.idle_since < self._limits.idle_timeout_s
            if young and not fresh and wire.usable and wire.quiet():
                self.counters.reused += 1
                return wire
            self._drop(origin, wire)
        place.open += 1
        try:
            async with asyncio.timeout(self._limits.connect_timeout_s):
                if place.open > self._limits.max_connections:
                    kept = await self._wait(place, origin)
                    if kept is not None:
                        place.open -= 1
                        return kept
                wire = await self._connect(origin)
        except TimeoutError:
            self._leave(origin)
            bound = self._limits.connect_timeout_s
            raise Timeout(f"cannot connect to {origin}: not within {bound} s") from None
        except OSError as error:
            self._leave(origin)
            reason = error.strerror or str(error) or type(error).__name__
            raise ConnectError(f"cannot connect to {origin}: {reason}") from error
        except BaseException:
            self._leave(origin)
            raise
        self.counters.connected += 1
        self._wires.add(wire)
        return wire

    def give_back(self, origin: Origin, wire: Wire) -> None:
        """Keep a connection whose exchange is complete, if there is room."""
        place = self._places.get(origin)
        full = place is None or len(place.idle) >= self._limits.max_idle
        if self._closed or not wire.usable or place is None or (full and not place.waiters):
            self._drop(origin, wire)
            return
        wire.idle_since = asyncio.get_running_loop().time()
        place.idle.append(wire)
        self._wake(place)
        self._forget()

    def discard(self, origin: Origin, wire: Wire) -> None:
        """Close a connection that is of no further use."""
        wire.abort()
        self._wires.discard(wire)
        self._leave(origin)

    async def close(self) -> None:
        """Close every connection, those in use too."""
        self._closed = True
        wires = list(self._wires)
        for wire in wires:
            wire.abort()
        if wires:
            await asyncio.wait([asyncio.ensure_future(wire.closed()) for wire in wires], timeout=2)
        self._wires.clear()
        self._places.clear()

    async def _wait(self, place: Place, origin: Origin) -> Wire | None:
        """Wait for a place or an idle connection."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place.waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in place.waiters:
                place.waiters.remove(waiter)
        while place.idle:
            wire = place.idle.pop()
            if wire.usable and wire.quiet():
                self.counters.reused += 1
                return wire
            self._drop(origin, wire)
        return None

    async def _connect(self, origin: Origin) -> Wire:
        loop = asyncio.get_running_loop()
        context = None
        name = None
        if origin.scheme == "https":
            if self._context is None:
                self._context = ssl.create_default_context()
            context = self._context
            name = origin.host
        wire = Wire(self._limits.codec)
        if origin.path:
            await loop.create_unix_connection(
                lambda: wire, origin.path, ssl=context, server_hostname=name
            )
            return wire
        transport, _ = await loop.create_connection(
            lambda: wire, origin.host, origin.port, ssl=context, server_hostname=name
        )
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return wire

    def _drop(self, origin: Origin, wire: Wire) -> None:
        self.counters.dropped += 1
        self.discard(origin, wire)

    def _leave(self, origin: Origin) -> None:
        place = self._places.get(origin)
        if place is not None:
            place.open -= 1
            self._wake(place)
            if not place.open and not place.waiters:
                del self._places[origin]

    def _wake(self, place: Place) -> None:
        while place.waiters:
            waiter = place.waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _forget(self) -> None:
        if len(self._places) <= self._limits.max_origins:
            return
        for origin, place in list(self._places.items()):
            for wire in list(place.idle):
                place.idle.remove(wire)
                self._drop(origin, wire)
            if len(self._places) <= self._limits.max_origins:
                return
