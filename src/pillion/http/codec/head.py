# cython: annotation_typing=False, auto_pickle=False
"""Start lines and header sections into checked parts: the hot spot of the codec.

There are two readers of the same lines. Compiled, one loop in C looks at every byte once, and leaves what is not
right to the other one. The same loop interpreted would cost twenty times as much, so there bytes methods do the work a
line at a time. Which one runs is decided at import; tests hold both to the same answers.
"""

from types import FunctionType
from typing import TYPE_CHECKING

from . import octets
from .events import MASKED, SPANNED_BYTES, SPANS, CodecError, Headers, headers_of, headers_within
from .grammar import METHOD_BYTES, METHODS, PATH_BYTES, QUERY_BYTES, STATUS_LINE, TEXT, TOKEN
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
_path_table = bytes(byte in PATH_BYTES for byte in range(256))
_query_table = bytes(byte in QUERY_BYTES for byte in range(256))


class Shape:
    """How the message was that was read last: for each place of its header the name that stood there, with its colon, and its field.

    Beside it what its start line said. Lists in it are never changed, since headers have them too.
    """

    __slots__ = (
        "fields",
        "method",
        "minor",
        "names",
        "origin",
        "reason",
        "spelled",
        "status",
        "target",
    )

    def __init__(self) -> None:
        self.names: list[bytes] = []
        self.fields: list[Field] = []
        self.method = ""
        self.spelled = b" "
        """The method as it stands on the wire, and a space."""
        self.target = b""
        self.origin = False
        """Whether the target has been seen to be in origin form, without percent escapes in its path."""
        self.minor = 0
        self.status = 0
        self.reason = b""


def read_fields(data: bytes, start: int, end: int, max_count: int) -> Headers:
    """Read the header lines of `data[start:end]`, each ended by CRLF (RFC 9112 section 5).

    Raise CodecError: 400 for a line that is not right, 431 for more than `max_count` of them.
    """
    if COMPILED:
        found = fields_by_byte(data, start, max_count, None)
        if found is not None and found.end == end:
            return found
    return read_by_line(data, start, end, max_count)


def fields_by_byte(data: bytes, start: int, max_count: int, shape: Shape | None) -> Headers | None:
    """Read the header lines from `start` on, in one pass over the bytes, to the first that is no such line: there is their `end`.

    Return None where a line is not right or not whole: others say why.

    What `shape` has kept of the message before is compared and not looked up; with the same names it is the same list of fields.
    """
    octs = data  # compiled a pointer, and each slice of it one copy
    end = len(data)
    token = _token_table
    text = _text_table
    names: list[bytes] = []
    usuals: list[Field] = []
    if shape is not None:
        names, usuals = shape.names, shape.fields
    headers = headers_within(data)
    spans = headers._spans
    known = len(names)
    fields: list[Field] | None = None  # of their own, once they are not those of the message before
    spelled: list[bytes] = []
    values: list[bytes] | None = None
    count = seen = twice = 0
    at = start
    # The byte behind the last one is zero, which is neither token nor text.
    while octs[at] != 13:
        if count == max_count:
            return None
        first = at
        field = None
        if count < known:
            name = names[count]
            size = len(name)
            if at + size <= end and octets.same(octs, at, name, size):
                field = usuals[count]
                at += size
        if field is None:
            while token[octs[at]]:
                at += 1
            if octs[at] != 58 or at == first:
                return None
            name = octs[first:at]
            field = _fields.get(name)
            at += 1
            if field is None:
                field = field_of(name.lower())
            if fields is None:
                fields = usuals[:count]
                spelled = names[:count]
            name = octs[first:at]
        if fields is not None:
            fields.append(field)
            spelled.append(name)
        while octs[at] == 32 or octs[at] == 9:
            at += 1
        first = at
        at = octets.text_end(octs, at, end)
        while text[octs[at]]:
            at += 1
        if octs[at] != 13 or octs[at + 1] != 10:
            return None
        last = at
        while last > first and (octs[last - 1] == 32 or octs[last - 1] == 9):
            last -= 1
        number = field.number
        if 0 < number < MASKED:
            if seen >> number & 1:
                twice |= _one << number
            seen |= _one << number
        if count < SPANS:
            spans[2 * count] = first
            spans[2 * count + 1] = last
        else:
            if values is None:
                values = _so_far(headers, count)
            values.append(octs[first:last])
        count += 1
        at += 2
    if fields is None:
        fields = usuals if count == known else usuals[:count]
    elif shape is not None:
        _keep(shape, spelled, fields)
    headers.fields = fields
    if values is None and end > SPANNED_BYTES:
        values = _so_far(headers, count)
    if values is not None:
        headers._values = values
        headers._data = b""
    headers.seen = seen
    headers.twice = twice
    headers.end = at
    return headers


def _so_far(headers: Headers, count: int) -> list[bytes]:
    return [headers.value(at) for at in range(count)]


def _keep(shape: Shape, spelled: list[bytes], fields: list[Field]) -> None:
    """Compare the next message with this one, as far as its names are of a usual size and number."""
    fit = 0
    while fit < len(spelled) and fit < _SHAPE_FIELDS and len(spelled[fit]) <= _SHAPE_BYTES:
        fit += 1
    if fit == len(spelled):
        shape.names = spelled
        shape.fields = fields
    else:
        shape.names = spelled[:fit]
        shape.fields = fields[:fit]


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


def request_line_by_byte(data: bytes, start: int, target_bytes: int, shape: Shape) -> int:
    """Read a usual request line in one pass into `shape`, and return where the header begins; -1 for any other, right or wrong."""
    octs = data
    token = _token_table
    visible = _visible_table
    path = _path_table
    query = _query_table
    at = start
    spelled = shape.spelled
    size = len(spelled)
    if start + size <= len(data) and octets.same(octs, start, spelled, size) and size > 1:
        at = start + size
    else:
        while token[octs[at]]:
            at += 1
        method = octs[start:at]
        name = _methods.get(method)
        if name is None or octs[at] != 32:
            return -1
        at += 1
        shape.method = name
        shape.spelled = octs[start:at]
    first = at
    shape.origin = False
    if octs[at] == 47:
        while path[octs[at]]:
            at += 1
        if octs[at] == 63:
            at += 1
            while query[octs[at]]:
                at += 1
        shape.origin = octs[at] == 32
    while visible[octs[at]]:
        at += 1
    if at - first > target_bytes or not _ends_in_version(octs, at):
        return -1
    shape.target = octs[first:at]
    shape.minor = octs[at + 8] - 48
    return at + 11


def request_head_by_byte(
    data: bytes, start: int, target_bytes: int, header_bytes: int, header_count: int, shape: Shape
) -> Headers | None:
    """Read a usual request's head in one pass: the start line into `shape`, and the fields, whose `end` is that of the head.

    None for one that is not whole, not right or not usual.
    """
    first = request_line_by_byte(data, start, target_bytes, shape)
    if first < 0:
        return None
    return _whole(data, first, header_bytes, fields_by_byte(data, first, header_count, shape))


def answer_head_by_byte(
    data: bytes, start: int, header_bytes: int, header_count: int, shape: Shape
) -> Headers | None:
    """Read an answer's head in one pass, as `request_head_by_byte` does with a request's; None for one that is not whole or not right."""
    first = status_line_by_byte(data, start, shape)
    if first < 0:
        return None
    return _whole(data, first, header_bytes, fields_by_byte(data, first, header_count, shape))


def _whole(data: bytes, first: int, header_bytes: int, headers: Headers | None) -> Headers | None:
    """The fields, if the head ends behind them and they are not too many bytes."""
    octs = data
    if headers is None or octs[headers.end + 1] != 10 or headers.end - first > header_bytes:
        return None
    headers.end += 2
    return headers


def _ends_in_version(octs: bytes, at: int) -> bool:
    """Whether " HTTP/1.0" or " HTTP/1.1" and the line's end follow; the first byte that is another one ends the look."""
    return (
        octs[at] == 32
        and octs[at + 1] == 72
        and octs[at + 2] == 84
        and octs[at + 3] == 84
        and octs[at + 4] == 80
        and octs[at + 5] == 47
        and octs[at + 6] == 49
        and octs[at + 7] == 46
        and (octs[at + 8] == 49 or octs[at + 8] == 48)
        and octs[at + 9] == 13
        and octs[at + 10] == 10
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


def status_line_by_byte(data: bytes, start: int, shape: Shape) -> int:
    """Read a right status line in one pass into `shape`, and return where the header begins; -1 for a wrong one."""
    octs = data
    text = _text_table
    at = start
    if (
        octs[at] != 72
        or octs[at + 1] != 84
        or octs[at + 2] != 84
        or octs[at + 3] != 80
        or octs[at + 4] != 47
        or octs[at + 5] != 49
        or octs[at + 6] != 46
        or not 48 <= octs[at + 7] <= 49
        or octs[at + 8] != 32
        or not 49 <= octs[at + 9] <= 53
        or not 48 <= octs[at + 10] <= 57
        or not 48 <= octs[at + 11] <= 57
        or octs[at + 12] != 32
    ):
        return -1
    shape.status = octs[at + 9] * 100 + octs[at + 10] * 10 + octs[at + 11] - 5328
    shape.minor = octs[at + 7] - 48
    first = at + 13
    at = first
    while text[octs[at]]:
        at += 1
    if octs[at] != 13 or octs[at + 1] != 10:
        return -1
    reason = shape.reason
    if len(reason) != at - first or not octets.same(octs, first, reason, at - first):
        shape.reason = octs[first:at]
    return at + 2


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
