# cython: annotation_typing=False, auto_pickle=False
"""What a parser says about a message: heads, the end, signals, and the one error.

Body data is no class of its own: a parser returns it as plain `bytes`, so that the hot path
allocates nothing beside the slice.
"""

from types import FunctionType
from typing import TYPE_CHECKING, Final, NamedTuple

from .block import Block
from .names import Field, field_of

if TYPE_CHECKING:
    from collections.abc import Iterator

MASKED: Final = 63
"""Fields with a number below are noted in a mask when they are read."""

SPANS: Final = 32
"""Of so many fields at most it is kept where their values are; of more the values are made."""
SPANNED_BYTES: Final = 32768
"""And only of data up to this size, because it is kept as long as the fields are."""

# `length` of a body that is not a number of bytes.
CHUNKED: Final = -1
CLOSE: Final = -2  # the body ends with the connection (answers only, RFC 9112 section 6.3)
NONE: Final = -3  # no body, and no header field that says so: 1xx, 204, 304 without a length


UNBOUNDED: Final = 1 << 62
"""A body limit for those who count what they read themselves."""


class CodecError(Exception):
    """A message that cannot be read, or must not be written.

    `status` is what a server answers before it closes the connection (400, 408, 413, 414, 431,
    501, 505); a client treats every one of them as a fault of the other side.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason

    def __reduce__(self) -> tuple[type["CodecError"], tuple[int, str]]:
        return (CodecError, (self.status, self.reason))


class Limits(NamedTuple):
    """Bounds on one message, in bytes fed; crossing one is an error at once, not at the end."""

    target_bytes: int = 8192
    header_bytes: int = 32768
    """All header lines together; the start line not included."""
    header_count: int = 100
    body_bytes: int = 1 << 30
    extension_bytes: int = 1024
    """All chunk extensions of one message together."""
    trailer_bytes: int = 8192


class Headers:
    """Header fields in their order, names lower-cased once, when they were read.

    Names and values are bytes; a value has no white space around it (RFC 9110 section 5.5). `fields` and `values`
    are lists of one length, to be read only: the same names may be those of other messages, too. `end` is where reading ended.

    Those of a message that was read keep its bytes, and where in them the values are: most are written on and never asked for.
    """

    __slots__ = ("_data", "_index", "_spans", "_values", "end", "fields", "seen", "twice")

    def __init__(self, items: list[tuple[bytes, bytes]]) -> None:
        """`items` are names in lower case with their values."""
        self._index: dict[bytes, bytes] | None = None
        self._data = b""
        self._spans = _no_spans()
        self._values: list[bytes] | None = [value for _, value in items]
        self.end = 0
        self.fields = [field_of(name) for name, _ in items]
        seen = twice = 0
        for field in self.fields:
            if 0 < field.number < MASKED:
                bit = 1 << field.number
                twice |= seen & bit
                seen |= bit
        self.seen = seen
        self.twice = twice

    @property
    def values(self) -> list[bytes]:
        """The values in their order."""
        values = self._values
        if values is None:
            values = self._values = [self.value(at) for at in range(len(self.fields))]
        return values

    def value(self, at: int) -> bytes:
        """Return the value of the field with this index."""
        if self._values is not None:
            return self._values[at]
        spans = self._spans
        octets = self._data
        return octets[spans[2 * at] : spans[2 * at + 1]]

    def write(self, block: Block, at: int) -> None:
        """Write the field with this index behind another one, without an end of line."""
        field = self.fields[at]
        block.put(field.line)
        if self._values is not None:
            block.put(self._values[at])
        else:
            spans = self._spans
            block.put_part(self._data, spans[2 * at], spans[2 * at + 1])

    @property
    def items(self) -> list[tuple[bytes, bytes]]:
        """Names and values in their order."""
        return [(field.name, value) for field, value in zip(self.fields, self.values, strict=True)]

    def known(self, number: int) -> bytes | None:
        """Return what `get` returns, for one of the constants of `names`: at once when it is not there."""
        if not self.seen >> number & 1:
            return None
        fields = self.fields
        for at in range(len(fields)):
            field = fields[at]
            if field.number == number:
                return self.get(field.name) if self.twice >> number & 1 else self.value(at)
        return None

    def get(self, name: bytes) -> bytes | None:
        """Return the value of `name` (lower case), or None.

        A repeated field's values come joined with ", ", which is what they mean (RFC 9110
        section 5.3); `get_all` gives them one by one.
        """
        index = self._index
        if index is None:
            index = self._make_index()
        return index.get(name)

    def _make_index(self) -> dict[bytes, bytes]:
        fields = self.fields
        index: dict[bytes, bytes] = {}
        for at in range(len(fields)):
            field = fields[at]
            value = self.value(at)
            before = index.get(field.name)
            index[field.name] = value if before is None else before + b", " + value
        self._index = index
        return index

    def get_all(self, name: bytes) -> list[bytes]:
        """Return every value of `name` (lower case), in order."""
        return [value for key, value in self.items if key == name]

    def tokens(self, name: bytes) -> list[bytes]:
        """Return the members of a comma-separated field, lower-cased, empty ones left out."""
        value = self.get(name)
        if value is None:
            return []
        return [t for t in (m.strip(b" \t").lower() for m in value.split(b",")) if t]

    def __contains__(self, name: bytes) -> bool:
        return self.get(name) is not None

    def __iter__(self) -> "Iterator[tuple[bytes, bytes]]":
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.items == other.items

    def __hash__(self) -> int:
        return hash(tuple(self.items))

    def __repr__(self) -> str:
        return f"Headers({self.items!r})"


def _no_spans() -> list[int]:
    return [0] * (2 * SPANS)


def headers_of(fields: "list[Field]", values: list[bytes], seen: int, twice: int) -> Headers:
    """Return headers of what a reader has found; the bits of `seen` and `twice` are those of numbers below MASKED."""
    headers = Headers.__new__(Headers)
    headers._index = None
    headers._data = b""
    headers._values = values
    headers.end = 0
    headers.fields = fields
    headers.seen = seen
    headers.twice = twice
    return headers


def headers_within(data: bytes) -> Headers:
    """Return headers whose values a reader is about to find in `data`, and to say where: `_spans`, two numbers for each."""
    headers = Headers.__new__(Headers)
    headers._index = None
    headers._data = data
    headers._values = None
    if not COMPILED:
        headers._spans = _no_spans()
    return headers


class RequestHead:
    """The head of a request.

    `minor` is 0 or 1, of HTTP/1.0 or 1.1. `length` is the body's number of bytes, or CHUNKED.
    `upgrade` is the value of an Upgrade field that the Connection field names, else None; such a
    request has no body. `authority` is the host (with port) asked for: of the target where it has
    one, else of the Host field; empty in HTTP/1.0 without Host.
    """

    __slots__ = (
        "authority",
        "expect",
        "headers",
        "keep_alive",
        "length",
        "method",
        "minor",
        "target",
        "upgrade",
    )

    def __init__(
        self,
        method: str,
        target: str,
        minor: int,
        headers: Headers,
        length: int,
        keep_alive: bool,
        authority: bytes,
        upgrade: bytes | None,
        expect: bytes | None,
    ) -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.headers = headers
        self.length = length
        self.keep_alive = keep_alive
        self.authority = authority
        self.upgrade = upgrade
        self.expect = expect

    def __repr__(self) -> str:
        return f"RequestHead({self.method} {self.target} HTTP/1.{self.minor}, {self.headers!r})"


def request_head(
    method: str,
    target: str,
    minor: int,
    headers: Headers,
    length: int,
    keep_alive: bool,
    authority: bytes,
    upgrade: bytes | None,
    expect: bytes | None,
) -> RequestHead:
    """Return what `RequestHead` returns; compiled a call of C."""
    head = RequestHead.__new__(RequestHead)
    head.method = method
    head.target = target
    head.minor = minor
    head.headers = headers
    head.length = length
    head.keep_alive = keep_alive
    head.authority = authority
    head.upgrade = upgrade
    head.expect = expect
    return head


class ResponseHead:
    """The head of a response.

    `length` is the number of bytes of the body that follows, or CHUNKED, or CLOSE.
    `informational` marks a 1xx, after which the response proper is still to come; 101 and a 2xx to
    CONNECT have `tunnel` set: what follows on the connection is no longer HTTP.
    """

    __slots__ = (
        "headers",
        "informational",
        "keep_alive",
        "length",
        "minor",
        "reason",
        "status",
        "tunnel",
    )

    def __init__(
        self,
        status: int,
        reason: bytes,
        minor: int,
        headers: Headers,
        length: int,
        keep_alive: bool,
        informational: bool,
        tunnel: bool,
    ) -> None:
        self.status = status
        self.reason = reason
        self.minor = minor
        self.headers = headers
        self.length = length
        self.keep_alive = keep_alive
        self.informational = informational
        self.tunnel = tunnel

    def __repr__(self) -> str:
        return f"ResponseHead({self.status}, HTTP/1.{self.minor}, {self.headers!r})"


def response_head(
    status: int,
    reason: bytes,
    minor: int,
    headers: Headers,
    length: int,
    keep_alive: bool,
    informational: bool,
    tunnel: bool,
) -> ResponseHead:
    """Return what `ResponseHead` returns; compiled a call of C."""
    head = ResponseHead.__new__(ResponseHead)
    head.status = status
    head.reason = reason
    head.minor = minor
    head.headers = headers
    head.length = length
    head.keep_alive = keep_alive
    head.informational = informational
    head.tunnel = tunnel
    return head


class End:
    """A message is complete. `trailers` are those of a chunked body."""

    __slots__ = ("trailers",)

    def __init__(self, trailers: Headers) -> None:
        self.trailers = trailers

    def __repr__(self) -> str:
        return f"End({self.trailers!r})"


class Signal:
    """Not a part of a message: NEED_DATA, or PAUSED."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


END: Final = End(Headers([]))
NEED_DATA: Final = Signal("NEED_DATA")
"""Nothing more can be said before more bytes are received."""
PAUSED: Final = Signal("PAUSED")
"""A message is complete; nothing further is read before `next_message()`, or after a tunnel."""


COMPILED = not isinstance(headers_of, FunctionType)
