"""Head and trailer sections into checked header fields: the hot spot of the codec.

Everything here runs once per byte at C speed: one `translate` proves that a block holds no
control character and no stray CR or LF, one `split` finds the lines.
"""

from typing import TYPE_CHECKING

from .events import CodecError, Headers
from .grammar import KNOWN, METHOD_BYTES, METHODS, TEXT, TOKEN

if TYPE_CHECKING:
    from .events import Limits

_known_get = KNOWN.get


def split_lines(block: bytes) -> list[bytes]:
    """Split `block` at CRLF. Raise CodecError(400) for a control character or a stray CR or LF."""
    lines = block.split(b"\r\n")
    if block.translate(None, TEXT) != b"\r\n" * (len(lines) - 1):
        raise CodecError(
            400, "cannot read the header: control character, or CR and LF not together"
        )
    return lines


def parse_fields(lines: list[bytes], first: int) -> Headers:
    """Read header lines from index `first` on (RFC 9112 section 5). Raise CodecError(400)."""
    items = []
    for index in range(first, len(lines)):
        line = lines[index]
        name, colon, value = line.partition(b":")
        low = _known_get(name)
        if low is None:
            if not name or not colon or name.translate(None, TOKEN):
                raise CodecError(400, _field_fault(line, name, colon))
            low = name.lower()
        elif not colon:
            raise CodecError(400, _field_fault(line, name, colon))
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


def _field_fault(line: bytes, name: bytes, colon: bytes) -> str:
    if line[:1] in (b" ", b"\t"):
        return "cannot read the header: a line begins with white space (obsolete folding)"
    if not colon:
        return "cannot read the header: a line has no colon"
    if name[-1:] in (b" ", b"\t"):
        return "cannot read the header: white space before a colon"
    return "cannot read the header: a field name is not a token"
