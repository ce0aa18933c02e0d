# cython: annotation_typing=False, auto_pickle=False
"""Start lines and header sections into checked parts: the hot spot of the codec.

There are two readers of the same lines. Compiled, one loop in C looks at every byte once, and leaves what is not
right to the other one. The same loop interpreted would cost twenty times as much, so there bytes methods do the work a
line at a time. Which one runs is decided at import; tests hold both to the same answers.
"""

from types import FunctionType
from typing import TYPE_CHECKING

from .events import MASKED, CodecError, Headers, headers_of
from .grammar import METHOD_BYTES, METHODS, STATUS_LINE, TEXT, TOKEN
from .names import FIELDS, Field, field_of

if TYPE_CHECKING:
    from .events import Limits

_fields = FIELDS
_one = 1
# Of what is kept of the message before: fields, and bytes of a name.
_SHAPE_FIELDS = 32
_SHAPE_BYTES = 64
_methods = METHODS
_token_table = bytes(byte in TOKEN for byte in range(256))
_text_table = bytes(byte in TEXT for byte in range(256))
_visible_table = bytes(32 < byte < 127 for byte in range(256))


class Shape:
    """How the header was that was read last: for each place the name that stood there, with its colon, and its field."""

    __slots__ = ("fields", "names")

    def __init__(self) -> None:
        self.names: list[bytes] = []
        self.fields: list[Field] = []


def read_fields(data: bytes, start: int, end: int, max_count: int) -> Headers:
    """Read the header lines of `data[start:end]`, each ended by CRLF (RFC 9112 section 5).

    Raise CodecError: 400 for a line that is not right, 431 for more than `max_count` of them.
    """
    if COMPILED:
        found = fields_by_byte(data, start, max_count, None)
        if found is not None and found[1] == end:
            return found[0]
    return read_by_line(data, start, end, max_count)


def fields_by_byte(
    data: bytes, start: int, max_count: int, shape: Shape | None
) -> tuple[Headers, int] | None:
    """Read the header lines from `start` on, in one pass over the bytes, to the first that is no such line.

    Return them, and where that one begins; None where a line is not right or not whole: others say why.

    What `shape` has kept of the message before is compared and not looked up.
    """
    octets = data  # compiled a pointer, and each slice of it one copy
    token = _token_table
    text = _text_table
    names: list[bytes] = []
    usuals: list[Field] = []
    if shape is not None:
        names, usuals = shape.names, shape.fields
    fields: list[Field] = []
    values: list[bytes] = []
    count = seen = twice = 0
    at = start
    # The byte behind the last one is zero, which is neither token nor text.
    while octets[at] != 13:
        first = at
        field = None
        if count < len(names):
            name = names[count]
            usual = name
            size = len(name)
            along = 0
            while along < size and octets[at] == usual[along]:
                at += 1
                along += 1
            if along == size:
                field = usuals[count]
            else:
                at = first
        if field is None:
            while token[octets[at]]:
                at += 1
            if octets[at] != 58 or at == first or count == max_count:
                return None
            name = octets[first:at]
            field = _fields.get(name)
            at += 1
            if field is None:
                field = field_of(name.lower())
            if shape is not None and count < _SHAPE_FIELDS and at - first <= _SHAPE_BYTES:
                name = octets[first:at]
                if count < len(names):
                    names[count] = name
                    usuals[count] = field
                elif count == len(names):
                    names.append(name)
                    usuals.append(field)
        elif count == max_count:
            return None
        while octets[at] == 32 or octets[at] == 9:
            at += 1
        first = at
        while text[octets[at]]:
            at += 1
        if octets[at] != 13 or octets[at + 1] != 10:
            return None
        last = at
        while last > first and (octets[last - 1] == 32 or octets[last - 1] == 9):
            last -= 1
        number = field.number
        if 0 < number < MASKED:
            if seen >> number & 1:
                twice |= _one << number
            seen |= _one << number
        fields.append(field)
        values.append(octets[first:last])
        count += 1
        at += 2
    return headers_of(fields, values, seen, twice), at


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
    fields: list[Field] = []
    values: list[bytes] = []
    seen = twice = 0
    for line in lines:
        name, colon, value = line.partition(b":")
        field = _fields.get(name)
        if field is None:
            if not name or name.translate(None, TOKEN):
                raise CodecError(400, _field_fault(line))
            field = field_of(name.lower())
        if not colon:
            raise CodecError(400, _field_fault(line))
        number = field.number
        if 0 < number < MASKED:
            if seen >> number & 1:
                twice |= _one << number
            seen |= _one << number
        fields.append(field)
        values.append(value.strip(b" \t"))
    return headers_of(fields, values, seen, twice)


def read_request_line(data: bytes, start: int, limits: "Limits") -> tuple[str, str, int, int]:
    """Read the request line that begins at `start` (RFC 9112 section 3), where a whole head stands.

    Return method, target, minor version, and where the header begins; the target's form is not checked here.
    Raise CodecError(400, 414, 501, 505).
    """
    end = data.find(b"\r\n", start)
    name, target, minor = parse_request_line(data[start:end], limits)
    return name, target, minor, end + 2


def request_line_by_byte(
    data: bytes, start: int, target_bytes: int
) -> tuple[str, str, int, int] | None:
    """Read a usual request line in one pass; None for any other, right or wrong."""
    octets = data
    token = _token_table
    visible = _visible_table
    at = start
    while token[octets[at]]:
        at += 1
    method = octets[start:at]
    name = _methods.get(method)
    if name is None or octets[at] != 32:
        return None
    at += 1
    first = at
    while visible[octets[at]]:
        at += 1
    if at - first > target_bytes or not _ends_in_version(octets, at):
        return None
    target = octets[first:at]
    return name, target.decode("ascii"), octets[at + 8] - 48, at + 11


def request_head_by_byte(
    data: bytes, start: int, limits: "Limits", shape: Shape | None
) -> tuple[str, str, int, Headers, int] | None:
    """Read a usual request's head in one pass: method, target, minor version, fields, and where the head ends.

    None for one that is not whole, not right or not usual.
    """
    line = request_line_by_byte(data, start, limits.target_bytes)
    if line is None:
        return None
    first: int = line[3]
    block = fields_by_byte(data, first, limits.header_count, shape)
    if block is None:
        return None
    end: int = block[1]
    octets = data
    if octets[end + 1] != 10 or end - first > limits.header_bytes:
        return None
    return line[0], line[1], line[2], block[0], end + 2


def answer_head_by_byte(
    data: bytes, start: int, limits: "Limits", shape: Shape | None
) -> tuple[int, int, bytes, Headers, int] | None:
    """Read an answer's head in one pass: status, minor version, reason phrase, fields, and where the head ends.

    None for one that is not whole or not right.
    """
    line = status_line_by_byte(data, start)
    if line is None:
        return None
    first: int = line[3]
    block = fields_by_byte(data, first, limits.header_count, shape)
    if block is None:
        return None
    end: int = block[1]
    octets = data
    if octets[end + 1] != 10 or end - first > limits.header_bytes:
        return None
    return line[0], line[1], line[2], block[0], end + 2


def _ends_in_version(octets: bytes, at: int) -> bool:
    """Whether " HTTP/1.0" or " HTTP/1.1" and the line's end follow; the first byte that is another one ends the look."""
    return (
        octets[at] == 32
        and octets[at + 1] == 72
        and octets[at + 2] == 84
        and octets[at + 3] == 84
        and octets[at + 4] == 80
        and octets[at + 5] == 47
        and octets[at + 6] == 49
        and octets[at + 7] == 46
        and (octets[at + 8] == 49 or octets[at + 8] == 48)
        and octets[at + 9] == 13
        and octets[at + 10] == 10
    )


def read_status_line(data: bytes, start: int) -> tuple[int, int, bytes, int]:
    """Read the status line that begins at `start` (RFC 9112 section 4), where a whole head stands.

    Return status, minor version, reason phrase, and where the header begins. Raise CodecError(502).
    """
    end = data.find(b"\r\n", start)
    line = STATUS_LINE.fullmatch(data, start, end)
    if line is None:
        raise CodecError(502, "cannot read the answer: invalid status line")
    return int(line[2]), int(line[1]), line[3], end + 2


def status_line_by_byte(data: bytes, start: int) -> tuple[int, int, bytes, int] | None:
    """Read a right status line in one pass; None for a wrong one."""
    octets = data
    text = _text_table
    at = start
    if (
        octets[at] != 72
        or octets[at + 1] != 84
        or octets[at + 2] != 84
        or octets[at + 3] != 80
        or octets[at + 4] != 47
        or octets[at + 5] != 49
        or octets[at + 6] != 46
        or not 48 <= octets[at + 7] <= 49
        or octets[at + 8] != 32
        or not 49 <= octets[at + 9] <= 53
        or not 48 <= octets[at + 10] <= 57
        or not 48 <= octets[at + 11] <= 57
        or octets[at + 12] != 32
    ):
        return None
    status = octets[at + 9] * 100 + octets[at + 10] * 10 + octets[at + 11] - 5328
    minor = octets[at + 7] - 48
    first = at + 13
    at = first
    while text[octets[at]]:
        at += 1
    if octets[at] != 13 or octets[at + 1] != 10:
        return None
    reason = octets[first:at]
    return status, minor, reason, at + 2


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


COMPILED = not isinstance(fields_by_byte, FunctionType)
