# cython: annotation_typing=False, auto_pickle=False
"""Request paths in one normal form, so that what is matched is what is meant.

The normal form keeps percent escapes wherever decoding would change the meaning: an encoded slash
stays inside its segment, and an encoded percent sign stays one.
"""

import re

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class BadPathError(ValueError):
    """A path with an invalid escape; the answer to it is 400."""


def split_target(target: str) -> tuple[str, str]:
    """Split a request target into raw path and raw query (without "?"), in any of its forms.

    Absolute form loses scheme and authority; an authority or "*" is returned as it is.
    """
    if not target.startswith("/"):
        scheme, separator, rest = target.partition("://")
        if separator and scheme.lower() in ("http", "https"):
            cut = len(rest)
            for mark in "/?":
                found = rest.find(mark)
                if 0 <= found < cut:
                    cut = found
            target = rest[cut:]
            if not target.startswith("/"):
                target = "/" + target
    path, _, query = target.partition("?")
    return path, query


def normalise(path: str) -> str:
    """Return `path` normalised (RFC 3986 section 6.2.2).

    Escapes of unreserved characters are decoded, other escapes upper-cased, dot segments removed.
    Raise BadPathError for an invalid escape and for an encoded NUL.
    """
    if "%" in path:
        path = _ESCAPE.sub(_decode_unreserved, path)
    if "/." in path:
        path = _remove_dots(path)
    return path


def decode_segment(segment: str) -> str:
    """Return one path segment with every escape decoded (UTF-8). Raise BadPathError."""
    if "%" not in segment:
        return segment
    raw = bytearray()
    at = 0
    for match in _ESCAPE.finditer(segment):
        if match[1] is None:
            raise BadPathError("cannot read the path: invalid percent escape")
        raw += segment[at : match.start()].encode()
        raw.append(int(match[1], 16))
        at = match.end()
    raw += segment[at:].encode()
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadPathError("cannot read the path: its escapes are not UTF-8") from None


def _decode_unreserved(match: re.Match[str]) -> str:
    if match[1] is None or match[1] == "00":
        raise BadPathError("cannot read the path: invalid percent escape")
    char = chr(int(match[1], 16))
    return char if char in _UNRESERVED else match[0].upper()


def _remove_dots(path: str) -> str:
    # RFC 3986 section 5.2.4, by segments: empty ones count, and nothing goes above the root.
    segments = path.split("/")[1:]
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
