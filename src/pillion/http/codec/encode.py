# cython: annotation_typing=False, auto_pickle=False
"""Messages to bytes, in one framing, with nothing of the caller's able to break out of its field.

The encoder alone writes the fields that frame a message (Content-Length, Transfer-Encoding); a
caller that names one is refused, because two framings are how smuggling begins.
"""

from http import HTTPStatus
from typing import TYPE_CHECKING

from .events import CHUNKED, CLOSE, NONE, CodecError
from .grammar import ABSOLUTE, AUTHORITY, ORIGIN, TEXT, TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterable

_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode())
    for status in HTTPStatus
}
_FRAMING = frozenset((b"content-length", b"transfer-encoding"))
_CHECKED: set[bytes] = set()
"""Names that have proved to be tokens and not framing. Bounded, since names may come from peers."""
_CHECKED_MAX = 1024
_LENGTHS_MOST = 1024
_LENGTHS: list[bytes] = [b""] * _LENGTHS_MOST
"""Lines of Content-Length that have been needed before."""


def encode_fields(fields: "Iterable[tuple[bytes, bytes]]") -> bytes:
    """Return header lines, each ended by CRLF (RFC 9112 section 5).

    Raise CodecError(500) for a name that is no token, for Content-Length and Transfer-Encoding,
    and for CR, LF or another control character in a value.
    """
    parts: list[bytes] = []
    for name, value in fields:
        if name not in _CHECKED:
            _check_name(name)
        parts += (name, b": ", value, b"\r\n")
    block = b"".join(parts)
    if block.translate(None, TEXT) != b"\r\n" * (len(parts) // 4):
        raise CodecError(500, "cannot send the header: control character in a value; encode it")
    return block


def encode_response_head(
    status: int,
    fields: "Iterable[tuple[bytes, bytes]] | bytes",
    length: int,
    extra: bytes = b"",
) -> bytes:
    """Return status line, `fields`, what frames the body, and the empty line.

    `length` is the body's number of bytes, CHUNKED, CLOSE (ended by the connection; the caller
    sends Connection: close) or NONE (1xx, 204, 304). `extra` is header lines already encoded, and
    `fields` may be what `encode_fields` gave.
    Raise CodecError(500) as `encode_fields` does, and for a length on a 1xx or 204 (RFC 9110
    section 8.6).
    """
    line = _STATUS_LINES.get(status)
    if line is None:
        if not 100 <= status <= 599:
            raise CodecError(500, f"cannot send status {status}; use 100 to 599")
        line = b"HTTP/1.1 %d \r\n" % status
    if (status < 200 or status == 204) and length != NONE:
        raise CodecError(500, f"cannot send a body with status {status}")
    block = fields if isinstance(fields, bytes) else encode_fields(fields)
    return b"".join((line, block, extra, _framing(length), b"\r\n"))


def encode_request_head(
    method: str, target: str, fields: "Iterable[tuple[bytes, bytes]]", length: int
) -> bytes:
    """Return request line, `fields` (Host among them), what frames the body, and the empty line.

    `length` is the body's number of bytes, CHUNKED, or NONE. Raise CodecError(500) as
    `encode_fields` does, and for a method or target that is not right.
    """
    try:
        verb, where = method.encode("ascii"), target.encode("ascii")
    except UnicodeEncodeError:
        raise CodecError(500, "cannot send the request: not ASCII; percent-encode it") from None
    if not verb or verb.translate(None, TOKEN):
        raise CodecError(500, "cannot send the request: the method is not a token")
    form = AUTHORITY if method == "CONNECT" else ORIGIN
    if form.fullmatch(where) is None and where != b"*" and ABSOLUTE.fullmatch(where) is None:
        raise CodecError(500, "cannot send the request: invalid target; percent-encode it")
    if where.translate(None, TEXT) or b" " in where or b"\t" in where:
        raise CodecError(500, "cannot send the request: white space in the target; encode it")
    if length == CLOSE:
        raise CodecError(500, "cannot send the request: nothing would say where its body ends")
    return b"%b %b HTTP/1.1\r\n%b%b\r\n" % (verb, where, encode_fields(fields), _framing(length))


class BodyEncoder:
    """Frames one body, and holds the writer to what the head announced."""

    __slots__ = ("_left", "_length")

    def __init__(self, length: int) -> None:
        """`length` as it was given to the head: bytes, CHUNKED, CLOSE or NONE."""
        self._length = length
        self._left = max(length, 0)

    def data(self, data: bytes) -> bytes:
        """Return `data` as it goes on the wire; empty data frames as nothing at all.

        Raise CodecError(500) when it is more than the head announced.
        """
        if not data:
            return b""
        if self._length == CHUNKED:
            return b"%x\r\n%b\r\n" % (len(data), data)
        if self._length == CLOSE:
            return data
        self._left -= len(data)
        if self._left < 0:
            raise CodecError(500, "cannot send the body: it is longer than announced")
        return data

    def end(self, trailers: "Iterable[tuple[bytes, bytes]]" = ()) -> bytes:
        """Return what ends the body; trailers only go with CHUNKED, and are left out otherwise.

        Raise CodecError(500) when less was sent than the head announced.
        """
        if self._length == CHUNKED:
            return b"0\r\n%b\r\n" % encode_fields(trailers)
        if self._left:
            raise CodecError(500, "cannot send the body: it is shorter than announced")
        return b""


def _framing(length: int) -> bytes:
    if 0 <= length < _LENGTHS_MOST:
        known = _LENGTHS[length]
        if not known:
            known = _LENGTHS[length] = b"content-length: %d\r\n" % length
        return known
    if length >= 0:
        return b"content-length: %d\r\n" % length
    return b"transfer-encoding: chunked\r\n" if length == CHUNKED else b""


def _check_name(name: bytes) -> None:
    if not name or name.translate(None, TOKEN):
        raise CodecError(500, "cannot send the header: a field name is not a token")
    if name.lower() in _FRAMING:
        raise CodecError(500, f"cannot send {name.decode()}: the encoder frames the body itself")
    if len(_CHECKED) < _CHECKED_MAX:
        _CHECKED.add(name)
