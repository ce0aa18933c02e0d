# cython: annotation_typing=False, auto_pickle=False
"""Heads of requests, as a server reads them (RFC 9112 section 3)."""

from .events import CodecError, Headers, Limits, RequestHead, Signal, request_head
from .framing import body_length, check_host, check_target, keep_alive, refuse_repeats
from .head import COMPILED, Shape, read_fields, read_request_line, request_head_by_byte
from .names import EXPECT, HOST, UPGRADE
from .reader import MessageReader

_NO_HEADERS = Headers([])
# Of all connections: clients and servers of a kind send the same names in the same order.
_shape = Shape()
_START_LINE_BYTES = 64  # a request line without its target


class RequestParser(MessageReader):
    """Reads requests, as a server does."""

    __slots__ = ("_host",)

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._host: bytes | None = None  # the last one that proved right: it hardly ever changes

    def _read_head(self) -> "RequestHead | Signal":
        limits = self._limits
        found = None
        origin = False
        if COMPILED and not self._pending:
            found = request_head_by_byte(
                self._data,
                self._pos,
                self._target_bytes,
                self._header_bytes,
                self._header_count,
                _shape,
            )
        if found is not None:
            headers = found
            method, minor, origin = _shape.method, _shape.minor, _shape.origin
            target = _shape.target.decode("ascii")
            self._pos = headers.end
        else:
            end = self._section(b"\r\n\r\n")
            if end < 0:
                self._check_first_byte()
                self._check_unfinished()
                return self._starved()
            method, target, minor, first = read_request_line(self._data, self._pos, limits)
            if end + 2 - first > limits.header_bytes:
                raise CodecError(431, "cannot read the request: its header is too large")
            headers = _NO_HEADERS
            if end + 2 > first:
                headers = read_fields(self._data, first, end + 2, limits.header_count)
            self._pos = end + 4
        if headers.twice:
            refuse_repeats(headers)
        host = headers.known(HOST)
        if host is None:
            if minor == 1:
                raise CodecError(400, "cannot read the request: it has no host")
        elif host != self._host:
            check_host(host)
            self._host = host
        else:
            host = self._host
        if origin and method != "CONNECT":
            authority = host or b""
        else:
            authority = check_target(method, target, host)
        length = body_length(headers, minor, 0)
        upgrade = headers.known(UPGRADE)
        if upgrade is not None and b"upgrade" not in headers.tokens(b"connection"):
            upgrade = None  # RFC 9110 section 7.8: then it is meant for someone else
        if length and (upgrade is not None or method == "CONNECT"):
            # Whether it is declined or not, one side would take the body for the new protocol.
            raise CodecError(400, "cannot read the request: a body on a change of protocol")
        expect = headers.known(EXPECT)
        head = request_head(
            method,
            target,
            minor,
            headers,
            length,
            keep_alive(headers, minor),
            authority,
            upgrade,
            expect if minor == 1 else None,
        )
        self._begin_body(length)
        return head

    def _check_unfinished(self) -> None:
        """Bound the target and the header before the head is complete."""
        limits = self._limits
        line_end = self._pending.find(b"\r\n", 0, limits.target_bytes + _START_LINE_BYTES)
        if line_end < 0:
            if len(self._pending) > limits.target_bytes + _START_LINE_BYTES:
                raise CodecError(414, "cannot read the request: its target is too long")
        elif len(self._pending) - line_end > limits.header_bytes + 4:
            raise CodecError(431, "cannot read the request: its header is too large")

    def tunnel(self) -> None:
        """Give up HTTP on this connection, after a CONNECT or an upgrade was accepted."""
        if not self._complete():
            raise RuntimeError("cannot become a tunnel: the request is not complete")
        self._begin_tunnel()
