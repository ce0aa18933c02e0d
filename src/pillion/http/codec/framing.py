# cython: annotation_typing=False, auto_pickle=False
"""Where a message ends (RFC 9112 section 6): one answer per message, or none at all.

Every request-smuggling attack is a message with two ends; here it has no second reading, because
whatever would allow one is refused.
"""

from types import FunctionType

from .events import CHUNKED, CLOSE, CodecError, Headers
from .grammar import ABSOLUTE, AUTHORITY, HOST, ORIGIN, PATH_BYTES, QUERY_BYTES, port_of
from .names import CONNECTION, CONTENT_LENGTH, FRAMING, TRANSFER_ENCODING

_path_table = bytes(byte in PATH_BYTES for byte in range(256))
_query_table = bytes(byte in QUERY_BYTES for byte in range(256))
_SINGLE = (b"host", b"content-length", b"transfer-encoding")


def refuse_repeats(headers: Headers) -> None:
    """Raise CodecError(400) if a field that frames or routes a message occurs twice.

    Identical Content-Lengths included: RFC 9110 section 8.6 allows to refuse them.
    """
    if not headers.twice & FRAMING:
        return
    for name in _SINGLE:
        if len(headers.get_all(name)) > 1:
            raise CodecError(400, f"cannot read the message: {name.decode()} occurs twice")


def content_length(value: bytes) -> int:
    """Return the number in a Content-Length. Raise CodecError(400).

    Digits only, no list, no sign, no leading zero (someone reads it as octal), below 10**18.
    """
    size = len(value)
    if not 0 < size <= 18 or (value[0] == 48 and size > 1):
        raise CodecError(400, "cannot read the message: invalid content-length")
    octets = value
    number = 0
    for at in range(size):
        digit = octets[at] - 48
        if not 0 <= digit <= 9:
            raise CodecError(400, "cannot read the message: invalid content-length")
        number = number * 10 + digit
    return number


def body_length(headers: Headers, minor: int, absent: int) -> int:
    """Return the body's length in bytes, CHUNKED, or `absent` when no field says anything.

    Raise CodecError(400) for more than one framing, for any coding but exactly "chunked", and for
    a coding in HTTP/1.0 (RFC 9112 section 6.1).
    """
    length = headers.known(CONTENT_LENGTH)
    coding = headers.known(TRANSFER_ENCODING)
    if coding is None:
        return absent if length is None else content_length(length)
    if length is not None:
        raise CodecError(400, "cannot read the message: both content-length and transfer-encoding")
    if minor == 0:
        raise CodecError(400, "cannot read the message: transfer-encoding in HTTP/1.0")
    if coding.lower() != b"chunked":
        raise CodecError(400, "cannot read the message: the transfer coding is not just chunked")
    return CHUNKED


def keep_alive(headers: Headers, minor: int) -> bool:
    """Return whether the connection lives on after this message (RFC 9112 section 9.3)."""
    value = headers.known(CONNECTION)
    if value is None:
        return minor == 1
    if value == b"keep-alive":
        return True
    tokens = headers.tokens(b"connection")
    if b"close" in tokens:
        return False
    return minor == 1 or b"keep-alive" in tokens


def response_length(
    status: int, method: str, headers: Headers, minor: int, allow_close: bool
) -> int:
    """Return the length of the body that follows a response head (RFC 9112 section 6.3).

    Raise CodecError(502) where framing fields stand that a correct server does not send.
    """
    stated = body_length(headers, minor, CLOSE)
    if status < 200 or status == 204:
        # Servers in use do send "Content-Length: 0" with a 204; it changes nothing.
        if stated == CLOSE or (stated == 0 and status == 204):
            return 0
        raise CodecError(502, f"cannot read the answer: a {status} that announces a body")
    if method == "HEAD" or status == 304:
        return 0
    if method == "CONNECT" and status < 300:
        return 0
    if stated == CLOSE and not allow_close:
        raise CodecError(502, "cannot read the answer: nothing says where its body ends")
    return stated


def check_host(value: bytes) -> None:
    """Raise CodecError(400) unless `value` is a host, with or without a port."""
    if HOST.fullmatch(value) is None or not _port_in_range(value):
        raise CodecError(400, "cannot read the request: invalid host")


def check_target(method: str, target: str, host: bytes | None) -> bytes:
    """Check the form of a request target (RFC 9112 section 3.2); return the authority asked for.

    Raise CodecError(400) for a form that does not belong to the method, and for an absolute target
    that contradicts the Host field: two names for one request are two readings.
    """
    raw = target.encode("ascii")
    if method == "CONNECT":
        if AUTHORITY.fullmatch(raw) is None or not _port_in_range(raw):
            raise CodecError(400, "cannot read the request target: CONNECT needs host:port")
        return raw
    if is_origin(raw):
        return host or b""
    if target == "*":
        if method != "OPTIONS":
            raise CodecError(400, "cannot read the request target: * is for OPTIONS")
        return host or b""
    absolute = ABSOLUTE.fullmatch(raw)
    if absolute is None:
        raise CodecError(400, "cannot read the request target: invalid form or character")
    authority, rest = absolute[1], absolute[2]
    check_host(authority)
    if rest and ORIGIN.fullmatch(rest if rest.startswith(b"/") else b"/" + rest) is None:
        raise CodecError(400, "cannot read the request target: invalid character")
    if host is not None and host.lower() != authority.lower():
        raise CodecError(400, "cannot read the request: target and host contradict each other")
    return authority


def is_origin(raw: bytes) -> bool:
    """Return whether this is a target in origin form (RFC 9112 section 3.2.1)."""
    return (COMPILED and origin_by_byte(raw)) or ORIGIN.fullmatch(raw) is not None


def origin_by_byte(raw: bytes) -> bool:
    """Say yes to a target without percent escapes in its path, in one pass; others are for `ORIGIN`."""
    octets = raw
    path = _path_table
    query = _query_table
    at = 0
    size = len(raw)
    if not size or octets[0] != 47:
        return False
    while at < size and path[octets[at]]:
        at += 1
    if at < size and octets[at] == 63:
        at += 1
        while at < size and query[octets[at]]:
            at += 1
    return at == size


def _port_in_range(authority: bytes) -> bool:
    port = port_of(authority)
    return port is None or port <= 65535


COMPILED = not isinstance(origin_by_byte, FunctionType)
