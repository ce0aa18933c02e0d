"""Requests and their answers."""

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from pillion.http.codec import (
    CHUNKED,
    NONE,
    BodyEncoder,
    CodecError,
    End,
    Headers,
    ResponseHead,
    encode_request_head,
)
from pillion.http.methods import IDEMPOTENT

from .errors import ClientError, ConnectError, ProtocolError, Timeout
from .pool import ClientCounters, ClientLimits, Origin, Pool
from .wire import Lost, Wire

_BODY_METHODS = ("POST", "PUT", "PATCH")
_PORTS = {"http": 80, "https": 443}


class ClientResponse:
    """An answer whose head has been read. Read or iterate it to its end, or close it."""

    def __init__(
        self,
        client: "Client",
        origin: Origin,
        wire: Wire,
        head: ResponseHead,
        deadline: float | None,
        keep: bool,
    ) -> None:
        self.status = head.status
        self.reason = head.reason
        self.headers: Headers = head.headers
        self.trailers: Headers | None = None
        """Those of a chunked body, once it has been read."""
        self._client = client
        self._origin = origin
        self._wire: Wire | None = wire
        self._deadline = deadline
        self._keep = keep and head.keep_alive

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. Raise Timeout or ProtocolError."""
        while self._wire is not None:
            piece = await self._next()
            if piece:
                yield piece

    async def read(self, limit: int = 64 << 20) -> bytes:
        """Return the whole body. Raise ProtocolError above `limit` bytes; Timeout."""
        parts = []
        size = 0
        while self._wire is not None:
            piece = await self._next()
            size += len(piece)
            if size > limit:
                self.close()
                raise ProtocolError(
                    f"cannot take the answer of {self._origin}: more than {limit} bytes"
                )
            parts.append(piece)
        return b"".join(parts)

    async def _next(self) -> bytes:
        wire = self._wire
        assert wire is not None
        try:
            event = await self._client.wait_event(self._origin, wire, self._deadline)
        except BaseException:
            self.close()
            raise
        if isinstance(event, bytes):
            return event
        assert isinstance(event, End)
        self.trailers = event.trailers
        self._wire = None
        if self._keep:
            wire.parser.next_message()
            self._client.pool.give_back(self._origin, wire)
        else:
            self._client.pool.discard(self._origin, wire)
        return b""

    def close(self) -> None:
        """Give the answer up; one not read to its end costs the connection."""
        if self._wire is not None:
            wire, self._wire = self._wire, None
            self._client.pool.discard(self._origin, wire)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Client:
    """Sends requests over pooled connections; made inside a running loop, closed by `close`."""

    def __init__(
        self, limits: ClientLimits | None = None, *, context: ssl.SSLContext | None = None
    ) -> None:
        """`context` is used for https; the system's trust store when left out."""
        self.limits = limits or ClientLimits()
        self.pool = Pool(self.limits, context)

    @property
    def counters(self) -> ClientCounters:
        """Connections made, kept, dropped, and requests sent again."""
        return self.pool.counters

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Sequence[tuple[bytes, bytes]] = (),
        body: "bytes | AsyncIterator[bytes] | None" = None,
        transport: str | None = None,
        total_timeout_s: float | None = None,
    ) -> ClientResponse:
        """Send a request; return the answer once its head is there.

        `transport` "unix:/path" goes to that socket, whatever the URL's host. `total_timeout_s`
        replaces the limit for this request (`math.inf` for a stream without end). It is sent once more, on another connection, only when
        a kept connection proved stale before a byte of the answer and the method is idempotent, or
        nothing had been sent. Raise ConnectError, Timeout, ProtocolError; ValueError for a URL or
        header that cannot be sent.
        """
        origin, host, target = _split(url, transport)
        length = NONE if body is None else len(body) if isinstance(body, bytes) else CHUNKED
        if body is None and method in _BODY_METHODS:
            length = 0
        fields = list(headers)
        if not any(name.lower() == b"host" for name, _ in fields):
            fields.insert(0, (b"host", host))
        try:
            head = encode_request_head(method, target, fields, length)
        except CodecError as error:
            raise ValueError(error.reason) from error
        total = self.limits.total_timeout_s if total_timeout_s is None else total_timeout_s
        endless = total is None or math.isinf(total)
        deadline = None if endless else asyncio.get_running_loop().time() + (total or 0.0)
        repeatable = method in IDEMPOTENT and (body is None or isinstance(body, bytes))
        again = False
        while True:
            wire = await self._take(origin, deadline, fresh=again)
            fresh = wire.used == 0
            wire.used += 1
            sent = False
            try:
                sent = wire.send(head)
                if sent:
                    return await self._exchange(origin, wire, method, body, length, deadline)
                raise Lost("it has been closed", untouched=True)
            except Lost as error:
                self.pool.discard(origin, wire)
                if fresh or not error.untouched or (sent and not repeatable):
                    raise ProtocolError(f"cannot get an answer from {origin}: {error}") from error
                self.counters.repeated += 1
                again = True
            except BaseException:
                self.pool.discard(origin, wire)
                raise

    async def close(self) -> None:
        """Close every connection; answers under way are cut."""
        await self.pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _take(self, origin: Origin, deadline: float | None, *, fresh: bool) -> Wire:
        try:
            async with asyncio.timeout_at(deadline):
                return await self.pool.take(origin, fresh=fresh)
        except TimeoutError:
            raise Timeout(f"cannot connect to {origin}: the total time is over") from None

    async def _exchange(
        self,
        origin: Origin,
        wire: Wire,
        method: str,
        body: "bytes | AsyncIterator[bytes] | None",
        length: int,
        deadline: float | None,
    ) -> ClientResponse:
        wire.parser.expect(method)
        whole = True
        if isinstance(body, bytes):
            wire.send(body)
        elif body is not None:
            whole = await self._send_body(origin, wire, body, length, deadline)
        while True:
            event = await self._event(origin, wire, deadline)
            assert isinstance(event, ResponseHead)
            if event.tunnel:
                raise ProtocolError(f"cannot talk to {origin}: it changed the protocol")
            if not event.informational:
                return ClientResponse(self, origin, wire, event, deadline, whole)

    async def _send_body(
        self,
        origin: Origin,
        wire: Wire,
        body: AsyncIterator[bytes],
        length: int,
        deadline: float | None,
    ) -> bool:
        """Send a streamed body; return whether it went out whole."""
        encoder = BodyEncoder(length)
        async for piece in body:
            if wire.answered:
                return False  # a server that has heard enough: its answer says why
            if not wire.send(encoder.data(piece)):
                return False
            try:
                async with asyncio.timeout_at(self._until(deadline)):
                    await wire.drained()
            except TimeoutError:
                raise Timeout(f"cannot send to {origin}: it takes nothing") from None
        return wire.send(encoder.end())

    async def wait_event(
        self, origin: Origin, wire: Wire, deadline: float | None
    ) -> ResponseHead | bytes | End:
        """Return the next event of an answer's body. Raise Timeout or ProtocolError."""
        try:
            return await self._event(origin, wire, deadline)
        except Lost as error:
            raise ProtocolError(f"cannot read the answer of {origin}: {error}") from error

    async def _event(
        self, origin: Origin, wire: Wire, deadline: float | None
    ) -> ResponseHead | bytes | End:
        until = self._until(deadline)
        try:
            async with asyncio.timeout_at(until):
                return await wire.event()
        except CodecError as error:
            raise ProtocolError(f"{origin}: {error.reason}") from error
        except TimeoutError:
            # Not by the clock: a timer may fire within the clock's grain before its time.
            if until == deadline:
                why = "the total time is over"
            else:
                why = f"nothing for {self.limits.read_timeout_s} s"
            raise Timeout(f"cannot get an answer from {origin}: {why}") from None

    def _until(self, deadline: float | None) -> float:
        until = asyncio.get_running_loop().time() + self.limits.read_timeout_s
        return until if deadline is None else min(until, deadline)


def _split(url: str, transport: str | None) -> tuple[Origin, bytes, str]:
    """Return where to connect, the Host field, and the target. Raise ValueError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"cannot request {url!r}: {error}") from error
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        raise ValueError(f"cannot request {url!r}: not an http or https URL with a host")
    path = ""
    if transport is not None:
        kind, _, path = transport.partition(":")
        if kind != "unix" or not path:
            raise ValueError(f"cannot use the transport {transport!r}: use unix:/path")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    origin = Origin(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], path)
    return origin, parts.netloc.encode("idna" if not parts.netloc.isascii() else "ascii"), target


__all__ = ["Client", "ClientError", "ClientResponse", "ConnectError"]
