# cython: annotation_typing=False, auto_pickle=False
"""Who the client is, where proxies stand in front of us: X-Forwarded-* and RFC 7239 Forwarded.

Anyone can write these fields. What the last `hops` proxies have added is believed, because those
are ours; everything before it is the client's word, and is cut off.
"""

import re
from typing import Final

from pillion.http.codec.events import Headers
from pillion.http.codec.grammar import HOST

# Which fields are written; both may be.
X_FORWARDED: Final = 1
FORWARDED: Final = 2
FLAGS: Final = {"x-forwarded": X_FORWARDED, "forwarded": FORWARDED}

_NODE = re.compile(rb"[0-9A-Za-z._:\[\]%-]{1,128}")
"""An address as X-Forwarded-For holds it, with or without a port; a name; `unknown`."""
_SCHEMES = frozenset((b"http", b"https", b"ws", b"wss"))

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_PAIR = _TOKEN + rb"=(?:" + _TOKEN + rb"|" + _QUOTED + rb")"
_ELEMENT = re.compile(rb"[ \t]*+(" + _PAIR + rb"(?:[ \t]*;[ \t]*" + _PAIR + rb")*+)[ \t]*+(?:,|$)")
_FOR = re.compile(rb'(?:^|;)[ \t]*for=(?:"([^"\\]*)"|([^;"\s]+))', re.IGNORECASE)
_PLAIN_TOKEN = re.compile(_TOKEN)


def forwarded_flags(names: tuple[str, ...]) -> int:
    """Return the flags of the fields named; the names are `x-forwarded` and `forwarded`."""
    flags = 0
    for name in names:
        flags |= FLAGS[name]
    return flags


def forwarded_fields(
    headers: Headers, peer: bytes, scheme: bytes, asked: bytes, hops: int, flags: int
) -> list[tuple[bytes, bytes]]:
    """Return the fields that say who asks, to be sent in place of those that came.

    `asked` is the authority that the client asked for. With 0 `hops` nothing that came is believed;
    with n the last n entries of the lists are kept, and what the nearest proxy said about scheme and
    host holds.
    """
    fields = []
    who = peer or b"unknown"
    if flags & X_FORWARDED:
        kept = trusted_nodes(headers, hops)
        fields = [
            (b"x-forwarded-for", b", ".join([*kept, who])),
            (b"x-forwarded-proto", _said_scheme(headers, hops) or scheme),
            (b"x-forwarded-host", _said_host(headers, hops) or asked),
        ]
    if flags & FORWARDED:
        elements = trusted_elements(headers, hops)
        elements.append(_element(who, scheme, asked))
        fields.append((b"forwarded", b", ".join(elements)))
    return fields


def client_address(headers: Headers, peer: bytes, hops: int, flags: int = X_FORWARDED) -> bytes:
    """Return the address of the client as far as it can be believed: `peer` with 0 hops.

    With n hops it is the nth entry from the end of X-Forwarded-For, or the first of fewer; of
    Forwarded where that alone is in use. Without port and brackets.
    """
    if not hops:
        return peer
    if flags != FORWARDED:
        nodes = trusted_nodes(headers, hops)
    else:
        nodes = []
        for element in trusted_elements(headers, hops):
            match = _FOR.search(element)
            nodes.append(b"" if match is None else match[1] or match[2] or b"")
    return _bare(nodes[0]) if nodes else peer


def trusted_nodes(headers: Headers, hops: int) -> list[bytes]:
    """Return the last `hops` entries of X-Forwarded-For, the nearest proxy's last.

    An entry that cannot be an address ends the list: what stands before it is not believed.
    """
    value = headers.get(b"x-forwarded-for") if hops > 0 else None
    if value is None:
        return []
    kept: list[bytes] = []
    for entry in reversed(value.split(b",")):
        node = entry.strip(b" \t")
        if len(kept) == hops or _NODE.fullmatch(node) is None:
            break
        kept.append(node)
    kept.reverse()
    return kept


def trusted_elements(headers: Headers, hops: int) -> list[bytes]:
    """Return the last `hops` elements of Forwarded (RFC 7239 section 4), as they were written.

    A value that does not follow the grammar is not believed at all: its commas may stand in quotes.
    """
    value = headers.get(b"forwarded") if hops > 0 else None
    if value is None:
        return []
    elements: list[bytes] = []
    at = 0
    while at < len(value):
        match = _ELEMENT.match(value, at)
        if match is None:
            return []
        elements.append(match[1])
        at = match.end()
    return elements[-hops:]


def _said_scheme(headers: Headers, hops: int) -> bytes | None:
    said = _last(headers, b"x-forwarded-proto", hops)
    return said if said is not None and said.lower() in _SCHEMES else None


def _said_host(headers: Headers, hops: int) -> bytes | None:
    said = _last(headers, b"x-forwarded-host", hops)
    return said if said is not None and HOST.fullmatch(said) is not None else None


def _last(headers: Headers, name: bytes, hops: int) -> bytes | None:
    value = headers.get(name) if hops > 0 else None
    return None if value is None else value.rpartition(b",")[2].strip(b" \t")


def _element(who: bytes, scheme: bytes, asked: bytes) -> bytes:
    node = b'"[%b]"' % who if b":" in who else who
    element = b"for=%b;proto=%b" % (node, scheme)
    if not asked:
        return element
    # What a Host may hold needs no escape within quotes.
    host = asked if _PLAIN_TOKEN.fullmatch(asked) is not None else b'"%b"' % asked
    return b"%b;host=%b" % (element, host)


def _bare(node: bytes) -> bytes:
    """Return an address without its port: `[::1]:80`, `::1`, `10.0.0.1:80`."""
    if node.startswith(b"["):
        return node[1:].partition(b"]")[0]
    host, colon, _ = node.rpartition(b":")
    return host if colon and b":" not in host else node
