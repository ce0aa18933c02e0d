# cython: annotation_typing=False, auto_pickle=False
"""What a parser says about a message: heads, the end, signals, and the one error.

Body data is no class of its own: a parser returns it as plain `bytes`, so that the hot path
allocates nothing beside the slice.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    Names and values are bytes; a value has no white space around it (RFC 9110 section 5.5).
    `index` has each name once, in the order of the first, with all its values joined; it is to be read only.
    """

    __slots__ = ("_items", "index")

    def __init__(
        self, items: list[tuple[bytes, bytes]] | None, index: dict[bytes, bytes] | None = None
    ) -> None:
        """`index` alone, in the order of the fields, is enough where no name is repeated."""
        self._items = items
        if index is None:
            assert items is not None
            index = dict(items)
            if len(index) != len(items):
                index = {}
                for name, value in items:
                    before = index.get(name)
                    index[name] = value if before is None else before + b", " + value
        self.index = index

    @property
    def items(self) -> list[tuple[bytes, bytes]]:
        """Names and values in their order."""
        if self._items is None:
            self._items = list(self.index.items())
        return self._items

    def get(self, name: bytes) -> bytes | None:
        """Return the value of `name` (lower case), or None.

        A repeated field's values come joined with ", ", which is what they mean (RFC 9110
        section 5.3); `get_all` gives them one by one.
        """
        return self.index.get(name)

    def get_all(self, name: bytes) -> list[bytes]:
        """Return every value of `name` (lower case), in order."""
        return [value for key, value in self.items if key == name]

    def tokens(self, name: bytes) -> list[bytes]:
        """Return the members of a comma-separated field, lower-cased, empty ones left out."""
        value = self.index.get(name)
        if value is None:
            return []
        return [t for t in (m.strip(b" \t").lower() for m in value.split(b",")) if t]

    def repeated(self) -> bool:
        """Return whether any field name occurs more than once."""
        return self._items is not None and len(self.index) != len(self._items)

    def __contains__(self, name: object) -> bool:
        return name in self.index

    def __iter__(self) -> "Iterator[tuple[bytes, bytes]]":
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.items == other.items

    def __hash__(self) -> int:
        return hash(tuple(self.items))

    def __repr__(self) -> str:
        return f"Headers({self.items!r})"


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
