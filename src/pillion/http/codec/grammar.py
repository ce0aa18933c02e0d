"""The alphabets and shapes of HTTP/1.1, in one place, so that parser and encoder cannot disagree.

Where RFC 9110, 9112 and 3986 leave a choice, the narrower reading is taken; each such place says so.
"""

import re

TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""RFC 9110 section 5.6.2."""

TEXT = bytes([9, *range(32, 127), *range(128, 256)])
"""What a start line or a header line may hold: HTAB, SP, VCHAR, obs-text (RFC 9110 section 5.5)."""

METHODS = {
    name.encode(): name
    for name in (
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "PATCH",
        "OPTIONS",
        "CONNECT",
        "TRACE",
    )
}
METHOD_BYTES = 32
"""A longer method is answered 501, as one that nobody implements (RFC 9112 section 3)."""

_NAMES = """
Accept Accept-Charset Accept-Encoding Accept-Language Accept-Ranges Age Allow Authorization Baggage
Cache-Control Connection Content-Disposition Content-Encoding Content-Language Content-Length
Content-Location Content-Range Content-Security-Policy Content-Type Cookie Date ETag Expect Expires
Forwarded From Host If-Match If-Modified-Since If-None-Match If-Range If-Unmodified-Since Keep-Alive
Last-Event-ID Last-Modified Link Location Max-Forwards Origin Pillion-Stale Pragma
Proxy-Authenticate Proxy-Authorization Proxy-Connection Range Referer Referrer-Policy Retry-After
Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-User Server Server-Timing Set-Cookie
Strict-Transport-Security TE Trailer Traceparent Tracestate Transfer-Encoding Upgrade
Upgrade-Insecure-Requests User-Agent Vary Via WWW-Authenticate X-Content-Type-Options
X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Frame-Options X-Real-IP X-Request-ID
"""

KNOWN: dict[bytes, bytes] = {}
"""Names on the wire, in their usual spellings -> lower case. A hit saves checking and lower-casing."""
for _name in _NAMES.encode().split():
    _low = _name.lower()
    for _spelling in (_low, _name, _name.title(), _low.capitalize()):
        KNOWN[_spelling] = KNOWN.get(_low, _low)

_PATH_BYTE = rb"[!$&-;=@-Z_a-z~]"
_PATH = _PATH_BYTE + rb"*+"
# Browsers leave [ ] { } | \ ^ ` and stray percent signs alone in a query, so we read them there;
# never "#", quotes or angle brackets.
_QUERY_BYTE = rb"[!$-;=?-~]"
_QUERY = _QUERY_BYTE + rb"*+"
PATH_BYTES = b"".join(re.findall(_PATH_BYTE, bytes(range(256))))
QUERY_BYTES = b"".join(re.findall(_QUERY_BYTE, bytes(range(256))))
"""What stands for itself in the path and in the query of a target; the path has percent escapes besides."""
ORIGIN = re.compile(rb"/" + _PATH + rb"(?:%[0-9A-Fa-f]{2}" + _PATH + rb")*+(?:\?" + _QUERY + rb")?")
"""Origin form (RFC 9112 section 3.2.1), with the path as RFC 3986 has it."""

# Narrower than RFC 3986: no userinfo, no sub-delims ("a,b" smells of two merged Hosts), no percent
# escapes, no zone, no empty host, no empty port.
_AUTHORITY = rb"(?:[A-Za-z0-9._~-]++|\[[0-9A-Fa-f:.]++\])"
HOST = re.compile(_AUTHORITY + rb"(?::[0-9]{1,5})?")
AUTHORITY = re.compile(_AUTHORITY + rb":[0-9]{1,5}")
"""Authority form, CONNECT only: the port is required (RFC 9112 section 3.2.3)."""
ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?]++)(/.*+|\?.*+)?", re.DOTALL)
"""Absolute form (RFC 9112 section 3.2.2) of the two schemes that we speak."""

STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*+)")
VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")

# The quoted string keeps to what both RFC 9110 and every parser in use agree on.
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*+"'
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,15})((?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*+)"
)
"""chunk-size and extensions (RFC 9112 section 7.1), without the white space that is only tolerated
there ("bad white space")."""
CHUNK_SIZE_BYTES = 15

STRAY = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")
"""A line feed without carriage return, or the other way round."""


def port_of(authority: bytes) -> int | None:
    """Return the port at the end of a checked authority, or None where there is none."""
    _, colon, port = authority.rpartition(b":")
    return int(port) if colon and port.isdigit() else None
