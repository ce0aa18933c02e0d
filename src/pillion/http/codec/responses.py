# cython: annotation_typing=False, auto_pickle=False
"""Heads of answers, as a client reads them (RFC 9112 section 4)."""

from .events import CLOSE, CodecError, Headers, Limits, ResponseHead, Signal, response_head
from .framing import keep_alive, refuse_repeats, response_length
from .head import COMPILED, Shape, answer_head_by_byte, read_fields, read_status_line
from .reader import MessageReader

_NO_HEADERS = Headers([])
# Of all connections: clients and servers of a kind send the same names in the same order.
_shape = Shape()
_STATUS_LINE_BYTES = 1024
_VERSION = b"HTTP/1."


class ResponseParser(MessageReader):
    """Reads responses, as a client does. Call `expect` once per request that was sent."""

    __slots__ = ("_allow_close", "_method", "_upgrade")

    def __init__(self, limits: Limits, *, allow_close: bool = True) -> None:
        """`allow_close` admits bodies that only the end of the stream ends."""
        super().__init__(limits)
        self._allow_close = allow_close
        self._method = ""
        self._upgrade = False

    def expect(self, method: str, upgrade: bool = False) -> None:
        """Say which request the next answer belongs to: its method decides about the body."""
        self._method = method
        self._upgrade = upgrade

    def _read_head(self) -> "ResponseHead | Signal":
        limits = self._limits
        if not self._method:
            raise CodecError(502, "cannot read an answer: nothing was asked")
        found = None
        if COMPILED and not self._pending:
            found = answer_head_by_byte(
                self._data, self._pos, self._header_bytes, self._header_count, _shape
            )
        if found is not None:
            headers = found
            status, minor, reason = _shape.status, _shape.minor, _shape.reason
            self._pos = headers.end
        else:
            end = self._section(b"\r\n\r\n")
            if end < 0:
                if not _VERSION.startswith(bytes(self._pending[: len(_VERSION)])):
                    # Who speaks another protocol is told from who is slow by the first bytes.
                    raise CodecError(502, "cannot read the answer: it does not begin like HTTP/1")
                if self._seen > limits.header_bytes + _STATUS_LINE_BYTES:
                    raise CodecError(431, "cannot read the answer: its header is too large")
                return self._starved()
            status, minor, reason, first = read_status_line(self._data, self._pos)
            if end + 2 - first > limits.header_bytes:
                raise CodecError(431, "cannot read the answer: its header is too large")
            headers = _NO_HEADERS
            if end + 2 > first:
                headers = read_fields(self._data, first, end + 2, limits.header_count)
            self._pos = end + 4
        if headers.twice:
            refuse_repeats(headers)
        length = response_length(status, self._method, headers, minor, self._allow_close)
        connect = self._method == "CONNECT" and 200 <= status < 300
        if status == 101 and not self._upgrade:
            raise CodecError(502, "cannot read the answer: a change of protocol nobody asked for")
        tunnel = connect or status == 101
        informational = status < 200 and status != 101
        head = response_head(
            status,
            reason,
            minor,
            headers,
            length,
            length != CLOSE and not tunnel and keep_alive(headers, minor),
            informational,
            tunnel,
        )
        if tunnel:
            self._begin_tunnel()
        elif not informational:
            self._begin_body(length)
            self._method = ""
        return head
