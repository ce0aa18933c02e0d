# cython: annotation_typing=False, auto_pickle=False
"""Request and Response as handlers see them."""

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import parse_qsl

from pillion.http.codec.events import Headers, RequestHead  # where their C side is declared
from pillion.http.paths import decode_segment
from pillion.http.problem import CONTENT_TYPE, problem_body

Fields = Sequence[tuple[bytes, bytes]]


class Refusal(Exception):
    """An answer by way of an exception: a handler, or reading a body, gives up with this status.

    The server answers it with a problem document; `headers` go with it.
    """

    def __init__(self, status: int, detail: str, headers: Fields = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


class Peer(NamedTuple):
    """Who is at the other end: credentials on a Unix socket, an address on TCP."""

    uid: int | None = None
    gid: int | None = None
    pid: int | None = None
    address: str | None = None
    port: int | None = None

    @classmethod
    def of(cls, sock: socket.socket) -> "Peer":
        """Read the peer of a connected socket; of a Unix socket by SO_PEERCRED (unix(7))."""
        if sock.family == socket.AF_UNIX:
            raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            pid, uid, gid = struct.unpack("=iII", raw)
            return cls(uid=uid, gid=gid, pid=pid)
        try:
            name = sock.getpeername()
        except OSError:
            return cls()  # it is gone already, as reading will find out
        return cls(address=name[0], port=name[1])


class Response:
    """What a handler answers.

    `headers` are fields, or what `encode_fields` made of them, for answers that are given often.
    `body` is bytes, or an async iterator of bytes that is sent as it comes (chunked, or with
    `length` bytes when that is given) and closed when the client leaves. `trailers` go after a
    chunked body; a callable is asked when the body has ended. `close` ends the connection after it.
    """

    __slots__ = ("body", "close", "headers", "length", "status", "trailers")

    def __init__(
        self,
        status: int = 200,
        headers: "Fields | bytes" = (),
        body: "bytes | AsyncIterator[bytes]" = b"",
        *,
        length: int | None = None,
        trailers: "Fields | Callable[[], Fields]" = (),
        close: bool = False,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.length = length
        self.trailers = trailers
        self.close = close


Handler = Callable[["Request"], "Response | Awaitable[Response]"]


def problem(status: int, detail: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> Response:
    """Return a problem document (RFC 9457) as a Response."""
    return Response(
        status, [(b"content-type", CONTENT_TYPE), *headers], problem_body(status, detail)
    )


class BodySource(Protocol):
    """Where a request's body comes from."""

    async def more(self) -> bytes:
        """Return the next piece, b"" at the end. Raise Refusal."""


class Request:
    """A request whose head has been read; the body is read by the handler, or not at all.

    `path` is normalised (`pillion.http.paths`), `query_string` raw. `headers` has lower-case names.
    `listener` says which socket it came by. `complete` turns true with the last byte of the body,
    and only then `trailers` are there. A handler that sets `waits` is cancelled when the peer ends
    its side: it waits for something to come, which would come to nobody.
    """

    __slots__ = (
        "_query",
        "body",
        "complete",
        "head",
        "headers",
        "listener",
        "method",
        "path",
        "peer",
        "query_string",
        "trailers",
        "waits",
    )

    def __init__(
        self, head: RequestHead, path: str, query_string: str, peer: Peer, listener: str
    ) -> None:
        self.head = head
        self.method = head.method
        self.path = path
        self.query_string = query_string
        self.headers = head.headers
        self.peer = peer
        self.listener = listener
        self.trailers: Headers | None = None
        self.body: BodySource | None = None
        self.complete = False
        self.waits = False
        self._query: dict[str, list[str]] | None = None

    @property
    def target(self) -> str:
        """The request target as it was sent."""
        return self.head.target

    @property
    def authority(self) -> bytes:
        """The host (and port) asked for; empty in HTTP/1.0 without Host."""
        return self.head.authority

    @property
    def minor(self) -> int:
        """The minor version: 0 or 1."""
        return self.head.minor

    @property
    def query(self) -> dict[str, list[str]]:
        """The query, decoded, every value of every name; parsed when first asked for."""
        if self._query is None:
            self._query = {}
            if self.query_string:
                for name, value in parse_qsl(self.query_string, keep_blank_values=True):
                    self._query.setdefault(name, []).append(value)
        return self._query

    @property
    def segments(self) -> list[str]:
        """The path's segments, decoded one by one. Raise BadPathError for escapes not UTF-8."""
        return [decode_segment(segment) for segment in self.path.split("/")[1:]]

    async def read(self, limit: int) -> bytes:
        """Return the whole body. Raise Refusal: 413 above `limit` bytes, 408, or 400."""
        if self.head.length > limit:
            raise Refusal(413, f"cannot take a body of more than {limit} bytes here")
        body = self.body
        if body is None:
            return b""
        parts = []
        size = 0
        while chunk := await body.more():
            size += len(chunk)
            if size > limit:
                raise Refusal(413, f"cannot take a body of more than {limit} bytes here")
            parts.append(chunk)
        return b"".join(parts)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. Raise Refusal: 413, 408, or 400."""
        return self._pieces()

    async def _pieces(self) -> AsyncIterator[bytes]:
        body = self.body
        if body is not None:
            while chunk := await body.more():
                yield chunk
