# cython: annotation_typing=False, auto_pickle=False
"""Secrets in what is logged of a request: their values are left out, their names stay, so that one sees they were there."""

import re
from fnmatch import translate
from urllib.parse import unquote_plus

HIDDEN = "***"

ALWAYS = (
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "api-key",
    "api_key",
    "apikey",
    "x-api-key",
    "auth",
    "jwt",
    "key",
    "pwd",
    "session",
    "sessionid",
    "sid",
    "sig",
    "*credential*",
    "*passw*",
    "*secret*",
    "*signature*",
    "*token*",
)
"""Hidden whatever the settings say: by definition or by custom these hold what opens doors."""

_SEPARATORS = re.compile("([&;])")

# Names of query parameters that have been judged; a client can send any.
_MOST_NAMES = 1024


class Redaction:
    """Judges names of query parameters and header fields, in any case, by ALWAYS and `names`; `*` stands for anything."""

    __slots__ = ("_exact", "_known", "_pattern")

    def __init__(self, names: tuple[str, ...]) -> None:
        lowered = {name.lower() for name in (*ALWAYS, *names)}
        self._exact = frozenset(name for name in lowered if "*" not in name)
        patterns = sorted(name for name in lowered if "*" in name)
        self._pattern = re.compile("|".join(map(translate, patterns)))
        self._known: dict[str, bool] = {}

    def hides(self, name: str) -> bool:
        """Return whether the value of `name`, which may be percent-encoded, is left out."""
        if "%" in name or "+" in name:
            name = unquote_plus(name, errors="replace")
        name = name.lower()
        return name in self._exact or self._pattern.match(name) is not None

    def _judge(self, name: str) -> bool:
        """Judge a name that may not have been seen yet, and keep what was found."""
        hidden = self.hides(name)
        if len(self._known) >= _MOST_NAMES:
            self._known.clear()
        self._known[name] = hidden
        return hidden

    def query(self, query: str) -> str:
        """Return a query string without the values that are hidden."""
        if "=" not in query:
            return query
        # A semicolon separates parameters, too, for some programs; the separators are kept.
        parts = _SEPARATORS.split(query) if ";" in query else query.split("&")
        changed = False
        for at, part in enumerate(parts):
            end = part.find("=")
            if end < 0:
                continue
            name = part[:end]
            hidden = self._known.get(name)
            if hidden is None:
                hidden = self._judge(name)
            if hidden:
                parts[at] = part[: end + 1] + HIDDEN
                changed = True
        if not changed:
            return query
        return "".join(parts) if ";" in query else "&".join(parts)
