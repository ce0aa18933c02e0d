# cython: annotation_typing=False, auto_pickle=False
"""Header sections into checked header fields: the hot spot of the codec.

There are two readers of the same lines. Compiled, one loop in C looks at every byte once. The
same loop interpreted would cost twenty times as much, so there bytes methods do the work a line at
a time. Which one runs is decided at import; tests hold both to the same answers.
"""

from types import FunctionType
from typing import TYPE_CHECKING

from .events import CodecError, Headers
from .grammar import KNOWN, METHOD_BYTES, METHODS, TEXT, TOKEN

if TYPE_CHECKING:
    from .events import Limits

_known = KNOWN
_token_table = bytes(byte in TOKEN for byte in range(256))
_text_table = bytes(byte in TEXT for byte in range(256))


def read_fields(data: bytes, start: int, end: int, max_count: int) -> Headers:
    """Read the header lines of `data[start:end]`, each ended by CRLF (RFC 9112 section 5).

    Raise CodecError: 400 for a line that is not right, 431 for more than `max_count` of them.
    """
    if COMPILED:
        return read_by_byte(data, start, end, max_count)
    return read_by_line(data, start, end, max_count)


def read_by_byte(data: bytes, start: int, end: int, max_count: int) -> Headers:
    """Read header lines in one pass over the bytes; see `read_fields`."""
    octets = data
    token = _token_table
    text = _text_table
    count = 0
    index: dict[bytes, bytes] = {}
    at = start
    if end - start < 2 or octets[end - 1] != 10 or octets[end - 2] != 13:
        # Every loop below stops at the last CR at the latest.
        raise CodecError(400, _field_fault(data[start:end]))
    while at < end:
        if count == max_count:
            raise CodecError(431, "cannot read the message: too many header fields")
        first = at
        while token[octets[at]]:
            at += 1
        if octets[at] != 58 or at == first:
            raise CodecError(400, _field_fault(data[first:end]))
        name = data[first:at]
        low = _known.get(name)
        if low is None:
            low = name.lower()
        at += 1
        while octets[at] == 32 or octets[at] == 9:
            at += 1
        first = at
        while text[octets[at]]:
            at += 1
        if octets[at] != 13 or at + 1 >= end or octets[at + 1] != 10:
            raise CodecError(400, _CONTROL)
        last = at
        while last > first and (octets[last - 1] == 32 or octets[last - 1] == 9):
            last -= 1
        value = data[first:last]
        index[low] = value
        count += 1
        at += 2
    if len(index) != count:
        return read_by_line(data, start, end, max_count)  # which keeps what is repeated
    return Headers(None, index)


def read_by_line(data: bytes, start: int, end: int, max_count: int) -> Headers:
    """Read header lines with bytes methods; see `read_fields`."""
    lines = data[start:end].split(b"\r\n")
    if lines.pop():
        raise CodecError(400, _field_fault(data[start:end]))
    if len(lines) > max_count:
        raise CodecError(431, "cannot read the message: too many header fields")
    # What is left of a block when all text is taken away: exactly its line ends.
    if data[start:end].translate(None, TEXT) != b"\r\n" * len(lines):
        raise CodecError(400, _CONTROL)
    items = []
    for line in lines:
        name, colon, value = line.partition(b":")
        low = _known.get(name)
        if low is None:
            if not name or name.translate(None, TOKEN):
                raise CodecError(400, _field_fault(line))
            low = name.lower()
        if not colon:
            raise CodecError(400, _field_fault(line))
        items.append((low, value.strip(b" \t")))
    return Headers(items)


def parse_request_line(line: bytes, limits: "Limits") -> tuple[str, str, int]:
    """Read a request line (RFC 9112 section 3) into method, target and minor version.

    The target's form is not checked here. Raise CodecError(400, 414, 501, 505).
    """
    parts = line.split(b" ")
    if len(parts) != 3:
        if len(line) > limits.target_bytes + METHOD_BYTES + 10:
            raise CodecError(414, "cannot read the request: its target is too long")
        raise CodecError(
            400, "cannot read the request line: it is not method, target, version with one space"
        )
    method, target, version = parts
    name = METHODS.get(method)
    if name is None:
        if not method or method.translate(None, TOKEN):
            raise CodecError(400, "cannot read the request line: the method is not a token")
        if len(method) > METHOD_BYTES:
            raise CodecError(501, "cannot serve a method with so long a name")
        name = method.decode("ascii")
    if version == b"HTTP/1.1":
        minor = 1
    elif version == b"HTTP/1.0":
        minor = 0
    elif len(version) == 8 and version.startswith(b"HTTP/") and version[6:7] == b".":
        if not (version[5:6] + version[7:8]).isdigit():
            raise CodecError(400, "cannot read the request line: invalid version")
        raise CodecError(505, "cannot speak this version of HTTP; use HTTP/1.1")
    else:
        raise CodecError(400, "cannot read the request line: invalid version")
    if len(target) > limits.target_bytes:
        raise CodecError(414, "cannot read the request: its target is too long")
    try:
        return name, target.decode("ascii"), minor
    except UnicodeDecodeError:
        raise CodecError(
            400, "cannot read the request target: not ASCII; percent-encode it"
        ) from None


_CONTROL = "cannot read the header: a control character, or CR and LF not together"


def _field_fault(rest: bytes) -> str:
    line = rest.partition(b"\r\n")[0]
    name, colon, _ = line.partition(b":")
    if line[:1] in (b" ", b"\t"):
        return "cannot read the header: a line begins with white space (obsolete folding)"
    if line.translate(None, TEXT):
        return _CONTROL
    if not colon:
        return "cannot read the header: a line has no colon"
    if name[-1:] in (b" ", b"\t"):
        return "cannot read the header: white space before a colon"
    return "cannot read the header: a field name is not a token"


COMPILED = not isinstance(read_by_byte, FunctionType)
