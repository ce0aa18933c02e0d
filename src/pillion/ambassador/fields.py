# cython: annotation_typing=False, auto_pickle=False
"""Header fields on their way through: which of them end here, which go on, and which we write.

RFC 9110 section 7.6 says what an intermediary does with a message; it is done in one pass over the
fields, because every byte of every request comes by here. Values were checked by the strict parser
that read them, and those of rules when the rules were read, so that nothing is checked twice.
"""

import re
from typing import Final

from pillion.ambassador.field_rules import FieldRules
from pillion.ambassador.forwarded import X_FORWARDED, forwarded_fields
from pillion.http.codec.block import Block
from pillion.http.codec.events import CHUNKED, CodecError, Headers, RequestHead, ResponseHead
from pillion.http.codec.names import CONNECTION, TE, USUAL, field_of

# What becomes of a name with an underscore: `Content_Length` and `Content-Length` are one variable
# to a program that gets its fields as CGI has them.
KEEP: Final = 0
DROP: Final = 1
REFUSE: Final = 2
UNDERSCORES: Final = {"keep": KEEP, "drop": DROP, "refuse": REFUSE}

_ENDS_HERE = 0
_TE = 1
_UPGRADE = 2
_TRAILER = 3
_REWRITTEN = 4  # we write it ourselves, when we write any of its family
_CLAIM = 5  # says the same as those, in another field: not believed when nobody in front is
_TRACE = 6
_MAX_FORWARDS = 7
_GOES_ON = 8

_HOP_BY_HOP: dict[bytes, int] = {
    b"connection": _ENDS_HERE,
    b"content-length": _ENDS_HERE,  # the body is framed anew
    b"http2-settings": _ENDS_HERE,
    b"keep-alive": _ENDS_HERE,
    b"proxy-authenticate": _ENDS_HERE,
    b"proxy-authentication-info": _ENDS_HERE,
    b"proxy-authorization": _ENDS_HERE,
    b"proxy-connection": _ENDS_HERE,
    b"te": _TE,
    b"trailer": _TRAILER,
    b"transfer-encoding": _ENDS_HERE,
    b"upgrade": _UPGRADE,
}

_REQUEST: dict[bytes, int] = _HOP_BY_HOP | {
    b"host": _ENDS_HERE,  # written first
    b"expect": _ENDS_HERE,  # whoever exchanges the message keeps to it, or sends its own
    b"content_length": _ENDS_HERE,
    b"transfer_encoding": _ENDS_HERE,
    b"forwarded": _REWRITTEN,
    b"x-forwarded-for": _REWRITTEN,
    b"x-forwarded-proto": _REWRITTEN,
    b"x-forwarded-host": _REWRITTEN,
    b"x_forwarded_for": _REWRITTEN,
    b"x_forwarded_proto": _REWRITTEN,
    b"x_forwarded_host": _REWRITTEN,
    b"x-forwarded-by": _CLAIM,
    b"x-forwarded-port": _CLAIM,
    b"x-forwarded-prefix": _CLAIM,
    b"x-forwarded-scheme": _CLAIM,
    b"x-forwarded-server": _CLAIM,
    b"x-forwarded-ssl": _CLAIM,
    b"x-real-ip": _CLAIM,
    b"x_real_ip": _CLAIM,
    b"traceparent": _TRACE,
    b"tracestate": _TRACE,
    b"max-forwards": _MAX_FORWARDS,
    b"pillion-via": _ENDS_HERE,  # whoever exchanges the message continues it
}


def _kinds(treated: dict[bytes, int]) -> bytes:
    """What becomes of a field, by its number; all that is treated has one."""
    kinds = bytearray([_GOES_ON]) * USUAL
    for name, kind in treated.items():
        number = field_of(name).number
        assert number, name
        kinds[number] = kind
    return bytes(kinds)


_request_table = _kinds(_REQUEST)
_answer_table = _kinds(_HOP_BY_HOP)

_FRAMING = frozenset((b"host", b"content-length", b"transfer-encoding"))
_MEANT_FOR_ALL = _FRAMING | frozenset(
    (
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-range",
        b"content-type",
        b"cookie",
        b"expect",
        b"forwarded",
        b"origin",
        b"range",
        b"traceparent",
        b"tracestate",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-real-ip",
    )
)
_NAMES_NOTHING = frozenset((b"keep-alive", b"Keep-Alive", b"close", b"Upgrade", b"upgrade"))

_NO_TRAILERS = frozenset(
    b"""
    age authorization cache-control connection content-encoding content-length content-location
    content-range content-type cookie date expect expires forwarded host http2-settings if-match
    if-modified-since if-none-match if-range if-unmodified-since keep-alive location max-forwards
    pillion-via pragma proxy-authenticate proxy-authentication-info proxy-authorization proxy-connection range
    retry-after set-cookie te traceparent tracestate trailer transfer-encoding upgrade vary
    www-authenticate x-forwarded-for x-forwarded-host x-forwarded-proto x-real-ip
    """.split()
)

_PROTOCOLS = re.compile(rb"[!#-'*+.^_`|~0-9A-Za-z-]+(?:/[!#-'*+.^_`|~0-9A-Za-z-]+)?")
_NOT_OURS = frozenset((b"h2c", b"h2", b"h3", b"http", b"tls"))


def request_block(
    head: RequestHead,
    host: bytes,
    peer: bytes,
    scheme: bytes,
    hops: int,
    forwarded: int,
    underscores: int,
    extra: bytes = b"",
    rules: FieldRules | None = None,
) -> bytes:
    """Return the header lines to send upstream, without framing and without the empty line.

    `host` becomes the Host field. `peer` is the address of the client (empty: none, a Unix socket),
    `scheme` how it came in. `hops` is the number of trusted proxies in front of us, `forwarded` the
    fields that tell about the client (X_FORWARDED, FORWARDED, both; 0: they pass as they came),
    `underscores` one of KEEP, DROP and REFUSE. `extra` is lines already encoded; when they hold a
    traceparent, it replaces the one that came, and its tracestate.

    Left out: the fields of one connection and those that Connection names (RFC 9110 section 7.6.1),
    Content-Length, Transfer-Encoding, and Expect. Connection is written where TE or an upgrade
    (`upgrade_of`) needs it; further ones of the caller may follow.

    Raise CodecError(400) for a Connection that names a field meant for everyone (same section), a
    refused underscore, and a Max-Forwards that is no number.
    """
    block = Block()
    traced = extra.startswith(b"traceparent: ")
    write_request(block, head, host, peer, scheme, hops, forwarded, underscores, traced, rules)
    block.put(extra)
    return block.take()[2:]


def write_request(
    block: Block,
    head: RequestHead,
    host: bytes,
    peer: bytes,
    scheme: bytes,
    hops: int,
    forwarded: int,
    underscores: int,
    traced: bool,
    rules: FieldRules | None,
) -> None:
    """Append the header lines of `request_block` to a request line without its end, and the end of the last one.

    `traced` is whether a traceparent of the caller follows, so that the one that came is left out.
    """
    headers = head.headers
    gone: frozenset[bytes] | None = None if rules is None else rules.removed
    connection = headers.known(CONNECTION)
    if connection is not None and connection not in _NAMES_NOTHING:
        named = _named(headers, _MEANT_FOR_ALL, 400)
        gone = named if gone is None else gone | named
    block.put(b"\r\nhost: ")
    block.put(host)
    for at in range(len(headers.fields)):
        _pass_request(block, headers, at, head, gone, hops, forwarded, underscores, traced)
    options = b""
    takes = head.minor == 1 and headers.known(TE) is not None and _takes_trailers(headers)
    if takes and (rules is None or b"te" not in rules.removed):
        # Several TE lines become one.
        block.put(b"\r\nte: trailers")
        options = b"te"
    if head.upgrade is not None and (rules is None or b"upgrade" not in rules.removed):
        protocol = upgrade_of(head)
        if protocol is not None:
            block.put(b"\r\nupgrade: ")
            block.put(protocol)
            options = b"upgrade" if not options else options + b", upgrade"
    if options:
        block.put(b"\r\nconnection: ")
        block.put(options)
    if forwarded:
        if forwarded == X_FORWARDED and not hops and rules is None:
            block.put(b"\r\nx-forwarded-for: ")
            block.put(peer or b"unknown")
            block.put(b"\r\nx-forwarded-proto: ")
            block.put(scheme)
            block.put(b"\r\nx-forwarded-host: ")
            block.put(head.authority or host)
        else:
            asked = head.authority or host
            for name, value in forwarded_fields(headers, peer, scheme, asked, hops, forwarded):
                if rules is None or name not in rules.removed:
                    block.put(b"\r\n%b: %b" % (name, value))
    block.put(b"\r\n")
    if rules is not None:
        block.put(rules.lines)


def _pass_request(
    block: Block,
    headers: Headers,
    at: int,
    head: RequestHead,
    gone: frozenset[bytes] | None,
    hops: int,
    forwarded: int,
    underscores: int,
    traced: bool,
) -> None:
    """Write one field of a request, unless it ends here."""
    field = headers.fields[at]
    table = _request_table
    kind = table[field.number]
    counted: bytes | None = None
    if kind != _GOES_ON:
        if kind == _TRAILER:
            if head.length != CHUNKED:
                return
        elif kind == _REWRITTEN:
            if forwarded:
                return
        elif kind == _CLAIM:
            if forwarded and not hops:
                return
        elif kind == _TRACE:
            if traced:
                return
        elif kind == _MAX_FORWARDS:
            if head.method in ("OPTIONS", "TRACE"):
                counted = b"%d" % max((max_forwards(head) or 0) - 1, 0)
        else:  # those of one connection; TE and Upgrade are written anew
            return
    if gone is not None and field.name in gone:
        return
    if underscores and b"_" in field.name:
        if underscores == DROP:
            return
        raise CodecError(400, "cannot take a header name with an underscore here")
    if counted is None:
        headers.write(block, at)
    else:
        block.put(field.line)
        block.put(counted)


def response_block(head: ResponseHead, rules: FieldRules | None = None) -> bytes:
    """Return the header lines of an answer to send on, without framing and the empty line.

    The same fields are left out as from a request. A 101 and a 426 keep Upgrade, and get the
    Connection that belongs to it (RFC 9110 section 7.8).
    Raise CodecError(502) for a Connection that names a field which frames the message.
    """
    block = Block()
    write_answer(block, head, rules)
    return block.take()[2:]


def write_answer(block: Block, head: ResponseHead, rules: FieldRules | None) -> None:
    """Append the header lines of `response_block` to a status line without its end, and the end of the last one."""
    headers = head.headers
    gone: frozenset[bytes] | None = None if rules is None else rules.removed
    connection = headers.known(CONNECTION)
    if connection is not None and connection not in _NAMES_NOTHING:
        named = _named(headers, _FRAMING, 502)
        gone = named if gone is None else gone | named
    for at in range(len(headers.fields)):
        _pass_answer(block, headers, at, head, gone)
    block.put(b"\r\n")
    if rules is not None:
        block.put(rules.lines)


def _pass_answer(
    block: Block,
    headers: Headers,
    at: int,
    head: ResponseHead,
    gone: frozenset[bytes] | None,
) -> None:
    """Write one field of an answer, unless it ends here."""
    field = headers.fields[at]
    table = _answer_table
    kind = table[field.number]
    if kind != _GOES_ON:
        if kind == _UPGRADE:
            if head.status in (101, 426):
                headers.write(block, at)
                block.put(b"\r\nconnection: upgrade")
            return
        if kind != _TRAILER or head.length != CHUNKED:
            return
    if gone is not None and field.name in gone:
        return
    headers.write(block, at)


def trailer_fields(trailers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the trailers that may go on, in their order (RFC 9110 section 6.5.1).

    What frames, routes, authenticates or says how to read the content is left out: a receiver that
    merges trailers into the header would take it for said at the beginning.
    """
    named: frozenset[bytes] = frozenset()
    if b"connection" in trailers:
        named = frozenset(trailers.tokens(b"connection"))
    return [
        field for field in trailers.items if field[0] not in _NO_TRAILERS and field[0] not in named
    ]


def upgrade_of(head: RequestHead) -> bytes | None:
    """Return the Upgrade to send upstream, or None: then the request is an ordinary one.

    HTTP/2 and TLS by upgrade are never passed on (RFC 9113 section 3.1 has given up h2c): behind
    them an upstream would take requests that no rule of ours has seen.
    """
    value = head.upgrade
    if value is None or value.lower() == b"websocket":
        return value
    wanted = []
    for member in value.split(b","):
        protocol = member.strip(b" \t")
        if _PROTOCOLS.fullmatch(protocol) is None:
            return None
        if protocol.partition(b"/")[0].lower() not in _NOT_OURS:
            wanted.append(protocol)
    return b", ".join(wanted) or None


def max_forwards(head: RequestHead) -> int | None:
    """Return the Max-Forwards of an OPTIONS or TRACE, None where there is none.

    With 0 the request must not be sent on (RFC 9110 section 7.6.2): whoever reads it answers.
    Raise CodecError(400) when it is no number.
    """
    if head.method not in ("OPTIONS", "TRACE"):
        return None
    value = head.headers.get(b"max-forwards")
    if value is None:
        return None
    if not value.isdigit() or len(value) > 9:
        raise CodecError(400, "cannot read the request: invalid max-forwards")
    return int(value)


def _named(headers: Headers, refused: frozenset[bytes], status: int) -> frozenset[bytes]:
    """Return the names that Connection takes out. Raise CodecError for one of `refused`.

    Nobody may name a field there that is meant for everyone (RFC 9110 section 7.6.1), and to take
    it out as told would let a client undo what a proxy in front of us has said about it.
    """
    named = frozenset(headers.tokens(b"connection"))
    if not named.isdisjoint(refused):
        culprit = min(named & refused).decode()
        raise CodecError(status, f"cannot read the message: its connection field names {culprit}")
    return named


def _takes_trailers(headers: Headers) -> bool:
    for member in headers.tokens(b"te"):
        coding, _, weight = member.partition(b";")
        if coding.rstrip(b" \t") == b"trailers":
            return not weight
    return False
