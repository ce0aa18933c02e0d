# cython: annotation_typing=False, auto_pickle=False
"""What a route asks of a request, one condition at a time; the router decides which routes to ask.

Paths are the normalised ones (`pillion.http.paths`), and what is matched is what is sent: an encoded
slash stays within its segment, for the match and for the upstream.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, quote

from pillion.http.codec.events import Headers
from pillion.http.paths import normalise

ANY: Final = 0
EXACT: Final = 1
PREFIX: Final = 2
TEMPLATE: Final = 3

_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_]+)\}")
_PRESENT = "*"
_AS_IT_IS = "!$&'()*+,;=:@-._~/%{}"


class PathPattern:
    """A path as a route has it.

        /orders            exactly this
        /orders/           this, and everything below it: on the border of a segment, so not /orders
        /orders*           everything that begins so: /orders, /orders/1, /orders-old
        /users/{id}/cart   one segment of any value, never empty; with / at its end, all below it
        *, /, nothing      every path, and the * of OPTIONS

    `kind` is ANY, EXACT, PREFIX or TEMPLATE; `text` the path or prefix in normal form; `segment`
    the first segment where it is literal and whole, else None; `open_end` tells that more may
    follow; `names` are those of the placeholders.
    """

    __slots__ = ("_regex", "kind", "names", "open_end", "segment", "text")

    def __init__(self, pattern: str) -> None:
        """Raise ValueError for a pattern that is no path."""
        self._regex: re.Pattern[str] | None = None
        self.names: tuple[str, ...] = ()
        self.segment: str | None = None
        if pattern in ("", "*", "/", "/*"):
            self.kind = ANY
            self.text = "/"
            self.open_end = True
            return
        if not pattern.startswith("/") or "*" in pattern[:-1]:
            raise ValueError(
                f"cannot match path {pattern!r}: it begins with /, and * stands at its end"
            )
        self.open_end = pattern.endswith(("/", "*"))
        self.text = written_path(pattern.removesuffix("*"))
        self.names = tuple(_PLACEHOLDER.findall(pattern))
        if self.names:
            self.kind = TEMPLATE
            self._regex = _compile(self.text, self.open_end)
        else:
            self.kind = PREFIX if self.open_end else EXACT
        head, slash, _ = self.text[1:].partition("/")
        if (slash or not self.open_end) and "{" not in head:
            self.segment = head

    def match(self, path: str) -> dict[str, str] | None:
        """Return what the placeholders stand for (escapes kept), None when the path does not fit."""
        if self._regex is None:
            return NOTHING if self.fits(path) else None
        match = self._regex.match(path)
        return None if match is None else dict(zip(self.names, match.groups(), strict=True))

    def fits(self, path: str) -> bool:
        """Return whether a path fits a pattern without placeholders."""
        if self.kind == ANY:
            return True
        if self.kind == EXACT:
            return path == self.text
        return path.startswith(self.text)

    def rest(self, path: str) -> str:
        """Return what follows the matched part of a path that fits; nothing without an open end."""
        if not self.open_end:
            return ""
        if self._regex is None:
            return path[len(self.text) :]
        match = self._regex.match(path)
        return "" if match is None else path[match.end() :]


NOTHING: Final[dict[str, str]] = {}
"""What a pattern without placeholders has matched; nobody adds to it."""


class Conditions:
    """What a route asks beside host and path: methods, header fields, query parameters."""

    __slots__ = ("_headers", "_methods", "_query", "trivial")

    def __init__(
        self, methods: tuple[str, ...], headers: Mapping[str, str], query: Mapping[str, str]
    ) -> None:
        """The value of a field or parameter is matched exactly; `*` asks that it be there."""
        self._methods = frozenset(methods)
        self._headers = tuple(
            (name.lower().encode(), None if value == _PRESENT else value.encode())
            for name, value in headers.items()
        )
        self._query = tuple(
            (name, None if value == _PRESENT else value) for name, value in query.items()
        )
        self.trivial = not (self._methods or self._headers or self._query)

    def hold(self, method: str, headers: Headers, query: str) -> bool:
        """Return whether a request fulfils all of them. Of a repeated field, one value must fit."""
        if self._methods and method not in self._methods:
            return False
        for name, wanted in self._headers:
            value = headers.get(name)
            if value is None:
                return False
            if wanted is not None and value != wanted and wanted not in headers.get_all(name):
                return False
        return not self._query or self._query_holds(query)

    def _query_holds(self, query: str) -> bool:
        given = parse_qsl(query, keep_blank_values=True)
        for name, wanted in self._query:
            if not any(key == name and wanted in (None, value) for key, value in given):
                return False
        return True


def written_path(text: str) -> str:
    """Return a path of the settings as it stands in a request: escaped, in normal form.

    Placeholders stay. Raise ValueError for an invalid escape, and for braces that name nothing.
    """
    literal = _PLACEHOLDER.sub("", text)
    if "{" in literal or "}" in literal:
        raise ValueError(f"cannot read path {text!r}: braces hold a name of letters and digits")
    return normalise(quote(text, safe=_AS_IT_IS))


def host_pattern(pattern: str) -> str:
    """Return a host pattern as it is compared: a name or address, `*.example.org`, or `*`.

    Raise ValueError for anything else. `*.example.org` is any depth below it, not itself.
    """
    host = pattern.lower().removesuffix(".")
    name = host.removeprefix("*.")
    if host == "*":
        return host
    if not name or "*" in name or "/" in name:
        raise ValueError(f"cannot match host {pattern!r}: * stands alone or as *.name")
    if ":" in name and not (name.startswith("[") and name.endswith("]")):
        raise ValueError(f"cannot match host {pattern!r}: a host is matched without its port")
    return host


def host_without_port(authority: str) -> str:
    """Return the host of a checked authority as it is matched: lower case, no port, no final dot."""
    host = authority.lower()
    if ":" in host:
        if host.startswith("["):
            return host[: host.find("]") + 1]
        host = host.partition(":")[0]
    return host.removesuffix(".")


def _compile(text: str, open_end: bool) -> re.Pattern[str]:
    parts = []
    for segment in text.split("/"):
        whole = _PLACEHOLDER.fullmatch(segment) is not None
        if not whole and "{" in segment:
            raise ValueError(f"cannot match path {text!r}: braces hold one whole part of the path")
        # Nothing else can end a segment, so that no text is ever tried twice.
        parts.append("([^/]+)" if whole else re.escape(segment))
    return re.compile("/".join(parts) + ("" if open_end else r"\Z"))
