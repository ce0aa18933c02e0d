"""A small client for the command line: same codec, plain sockets, and no asyncio to import.

with BlockingClient.unix("/run/pillion/shop/api.sock", timeout_s=5) as client:
    with client.request("GET", "/v1/events?follow=true") as answer:
        for piece in answer: ...
"""

import socket
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from pillion.http.codec import (
    CHUNKED,
    NEED_DATA,
    NONE,
    UNBOUNDED,
    BodyEncoder,
    CodecError,
    End,
    Headers,
    Limits,
    ResponseHead,
    ResponseParser,
    encode_request_head,
)
from pillion.http.methods import IDEMPOTENT

_READ_BYTES = 65536
_BODY_METHODS = ("POST", "PUT", "PATCH")


class BlockingError(OSError):
    """The other side cannot be reached, does not answer, or does not speak HTTP."""


class BlockingResponse:
    """An answer whose head has been read; iterate it, or `read` it; then close it."""

    def __init__(self, client: "BlockingClient", head: ResponseHead) -> None:
        self.status = head.status
        self.headers: Headers = head.headers
        self.trailers: Headers | None = None
        self._client = client
        self._keep_alive = head.keep_alive

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body as it comes. Raise BlockingError when it is cut short."""
        while self.trailers is None:
            event = self._client.next_event()
            if isinstance(event, bytes):
                yield event
            elif isinstance(event, End):
                self.trailers = event.trailers
        self._client.finished(keep_alive=self._keep_alive)

    def read(self, limit: int = 64 << 20) -> bytes:
        """Return the whole body. Raise BlockingError above `limit` bytes, or when it is cut."""
        parts = []
        size = 0
        for piece in self:
            size += len(piece)
            if size > limit:
                self.close()
                raise BlockingError(f"cannot take the answer: more than {limit} bytes")
            parts.append(piece)
        return b"".join(parts)

    def close(self) -> None:
        """Give the answer up; one not read to its end costs the connection."""
        if self.trailers is None:
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class BlockingClient:
    """One connection, one request at a time; connects when first needed, and again when closed.

    `timeout_s` bounds each wait for the peer, not the whole answer; None waits for ever.
    """

    def __init__(
        self,
        address: str | tuple[str, int],
        host: str,
        timeout_s: float | None = 10.0,
        limits: Limits | None = None,
    ) -> None:
        self._address = address
        self._host = host
        self._timeout_s = timeout_s
        self._limits = limits or Limits(body_bytes=UNBOUNDED)  # streams have no end
        self._sock: socket.socket | None = None
        self._parser: ResponseParser | None = None
        self._busy = False

    @classmethod
    def unix(cls, path: str, timeout_s: float | None = 10.0) -> "BlockingClient":
        """Return a client of the Unix socket at `path`."""
        return cls(path, "localhost", timeout_s)

    @classmethod
    def tcp(cls, host: str, port: int, timeout_s: float | None = 10.0) -> "BlockingClient":
        """Return a client of `host` and `port`."""
        named = f"[{host}]" if ":" in host else host
        return cls((host, port), f"{named}:{port}", timeout_s)

    def request(
        self,
        method: str,
        target: str,
        headers: Sequence[tuple[bytes, bytes]] = (),
        body: "bytes | Iterator[bytes] | None" = None,
    ) -> BlockingResponse:
        """Send a request, and return the answer once its head is there.

        A kept connection that proves stale before a byte of the answer came is replaced once, if
        `body` can be sent again. Raise BlockingError.
        """
        if self._busy:
            self.close()  # the answer before was given up
        fresh = self._sock is None
        try:
            return self._exchange(method, target, headers, body)
        except _StaleError as error:
            again = method in IDEMPOTENT and (body is None or isinstance(body, bytes))
            if fresh or not again:
                raise BlockingError(self._say(str(error))) from error
        try:
            return self._exchange(method, target, headers, body)
        except _StaleError as error:
            raise BlockingError(self._say(str(error))) from error

    def _exchange(
        self,
        method: str,
        target: str,
        headers: Sequence[tuple[bytes, bytes]],
        body: "bytes | Iterator[bytes] | None",
    ) -> BlockingResponse:
        length = NONE if body is None else len(body) if isinstance(body, bytes) else CHUNKED
        if body is None and method in _BODY_METHODS:
            length = 0
        fields = [*headers]
        if not any(name.lower() == b"host" for name, _ in fields):
            fields.insert(0, (b"host", self._host.encode()))
        head = encode_request_head(method, target, fields, length)
        if self._sock is None:
            self._connect()
        assert self._sock is not None
        assert self._parser is not None
        self._busy = True
        self._parser.expect(method)
        try:
            if body is None or isinstance(body, bytes):
                self._sock.sendall(head + (body or b""))
            else:
                self._sock.sendall(head)
                encoder = BodyEncoder(CHUNKED)
                for piece in body:
                    self._sock.sendall(encoder.data(piece))
                self._sock.sendall(encoder.end())
        except TimeoutError as error:
            self.close()
            raise BlockingError(self._say(f"it took nothing for {self._timeout_s} s")) from error
        except OSError:
            # The answer may be there all the same: a server that refuses a body says why first.
            self._parser.expect(method)
        while True:
            event = self.next_event(first=True)
            if isinstance(event, ResponseHead) and not event.informational:
                if event.tunnel:
                    self.close()
                    raise BlockingError(self._say("it changed the protocol"))
                return BlockingResponse(self, event)

    def next_event(self, *, first: bool = False) -> ResponseHead | bytes | End:
        """Return the next event of the answer under way. Raise BlockingError."""
        if self._sock is None or self._parser is None:
            raise BlockingError(self._say("the connection has been closed"))
        try:
            while True:
                event = self._parser.next_event()
                if isinstance(event, (ResponseHead, bytes, End)):
                    return event
                if event is not NEED_DATA:
                    break  # the stream ended between two messages
                data = self._sock.recv(_READ_BYTES)
                if data:
                    self._parser.receive(data)
                else:
                    self._parser.receive_eof()
        except CodecError as error:
            self.close()
            raise BlockingError(self._say(error.reason)) from error
        except TimeoutError as error:
            self.close()
            raise BlockingError(self._say(f"no answer within {self._timeout_s} s")) from error
        except OSError as error:
            untouched = first and self._parser.between_messages
            self.close()
            if untouched:
                raise _StaleError(str(error)) from error
            raise BlockingError(self._say(str(error))) from error
        self.close()
        raise _StaleError("it closed the connection without an answer")

    def finished(self, *, keep_alive: bool) -> None:
        """Make ready for the next request; called by the answer."""
        self._busy = False
        if not keep_alive:
            self.close()
        elif self._parser is not None:
            self._parser.next_message()

    def close(self) -> None:
        """Close the connection, if there is one; a later request opens another."""
        self._busy = False
        if self._sock is not None:
            self._sock.close()
        self._sock = None
        self._parser = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _connect(self) -> None:
        try:
            if isinstance(self._address, str):
                self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self._sock.settimeout(self._timeout_s)
                self._sock.connect(self._address)
            else:
                self._sock = socket.create_connection(self._address, self._timeout_s)
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            self.close()
            raise BlockingError(self._say(error.strerror or str(error))) from error
        self._parser = ResponseParser(self._limits)

    def _say(self, what: str) -> str:
        where = self._address if isinstance(self._address, str) else self._host
        return f"cannot talk to {where}: {what}"


class _StaleError(Exception):
    """The connection ended before a byte of the answer."""
