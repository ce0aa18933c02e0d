# cython: annotation_typing=False, auto_pickle=False
"""Rules that set, add and remove header fields, checked and encoded once, when they are read.

A rule can neither frame a message nor break out of its line, so that no request has to be checked
for what a rule has done to it.
"""

from collections.abc import Iterable, Mapping

from pillion.http.codec.grammar import TEXT, TOKEN

_NEVER = frozenset(
    b"""
    connection content-length expect host http2-settings keep-alive proxy-connection te trailer
    transfer-encoding upgrade
    """.split()
)


class FieldRules:
    """What the rules of a route do to a header: `removed` names go, `lines` are appended.

    Names that are set are removed first, so that the rule's value is the only one.
    """

    __slots__ = ("lines", "removed")

    def __init__(self, removed: frozenset[bytes], lines: bytes) -> None:
        self.removed = removed
        self.lines = lines


def compile_rules(
    replaced: Mapping[str, str], added: Mapping[str, str], removed: Iterable[str]
) -> FieldRules | None:
    """Return the rules in the form that is fast to follow, None when there is nothing to do.

    Raise ValueError for a name that is no token or belongs to the message's framing (Host is set by
    the route's `rewrite`), and for a control character in a value (RFC 9110 section 5.5).
    """
    gone = {_name(name) for name in removed}
    lines = []
    for name, value in replaced.items():
        gone.add(_name(name))
        lines.append(_line(name, value))
    lines += [_line(name, value) for name, value in added.items()]
    if not gone and not lines:
        return None
    return FieldRules(frozenset(gone), b"".join(lines))


def _line(name: str, value: str) -> bytes:
    text = value.strip(" \t").encode()
    if text.translate(None, TEXT):
        raise ValueError(f"cannot send header {name}: a control character in its value; remove it")
    return b"%b: %b\r\n" % (_name(name), text)


def _name(name: str) -> bytes:
    raw = name.encode().lower()
    if not raw or raw.translate(None, TOKEN):
        raise ValueError(f"cannot change header {name!r}: not the name of a header")
    if raw in _NEVER:
        raise ValueError(f"cannot change header {name} by a rule: it belongs to the connection")
    return raw
