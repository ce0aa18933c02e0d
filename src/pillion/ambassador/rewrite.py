# cython: annotation_typing=False, auto_pickle=False
"""Where a routed request goes: the rewritten path, or the address of a redirect.

Placeholders carry text over as it was matched, escapes and all, so that nothing of a client's can
become a separator on the way.
"""

import re

from pillion.ambassador.route_match import PathPattern, written_path
from pillion.http.paths import normalise

_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_]+)\}")
_LOCATION = re.compile(r"(?:https?://[^/?#@{}]+)?(?:/[!-~]*)?")


class Template:
    """Literal text with placeholders, taken apart once."""

    __slots__ = ("_names", "_parts", "_text")

    def __init__(self, text: str, known: tuple[str, ...]) -> None:
        """Raise ValueError for a placeholder that is not one of the `known` names."""
        self._text = text
        self._parts = _PLACEHOLDER.split(text)  # literal, name, literal, …
        self._names = self._parts[1::2]
        for name in self._names:
            if name not in known:
                raise ValueError(
                    f"cannot fill in {{{name}}} in {text!r}: the path has no such part"
                )

    def fill(self, values: dict[str, str]) -> str:
        """Return the text with `values` in the places of the names."""
        if not self._names:
            return self._text
        parts = self._parts.copy()
        parts[1::2] = [values[name] for name in self._names]
        return "".join(parts)


class PathRewrite:
    """A path, or a prefix, in the place of the one that was asked for."""

    __slots__ = ("_pattern", "_template", "_whole")

    def __init__(self, pattern: PathPattern, path: str, prefix: str) -> None:
        """Raise ValueError for a path that is none, and for a prefix where none is matched."""
        self._pattern = pattern
        self._whole = bool(path)
        text = written_path(path or prefix)
        if not text.startswith("/"):
            raise ValueError(f"cannot send path {text!r}: it begins with /")
        if not self._whole:
            if not pattern.open_end:
                raise ValueError(
                    f"cannot replace the prefix of {pattern.text}: it is none; end the path with / or *"
                )
            if pattern.text.endswith("/") and not text.endswith("/"):
                text += "/"  # a border of segments stays one
        self._template = Template(text, pattern.names)

    def target(self, captures: dict[str, str], path: str, query: str) -> str:
        """Return the request target, in normal form; the query stays as it was."""
        new = self._template.fill(captures)
        if not self._whole:
            new = _join(new, self._pattern, path)
        if "/." in new:
            new = normalise(new)
        return f"{new}?{query}" if query else new


class Redirection:
    """The address of a redirect.

    One that ends with `/` takes along what follows the matched prefix, and the query.
    """

    __slots__ = ("_open", "_pattern", "_template")

    def __init__(self, pattern: PathPattern, to: str) -> None:
        """Raise ValueError unless `to` is a path or an http(s) URL without braces in its host."""
        if not to or _LOCATION.fullmatch(to) is None:
            raise ValueError(
                f"cannot redirect to {to!r}: use a path, or an http:// or https:// URL with a host of its own"
            )
        if "{" in to and _PLACEHOLDER.search(to.partition("://")[2] or to) is None:
            raise ValueError(f"cannot redirect to {to!r}: braces hold a name of letters and digits")
        self._pattern = pattern
        self._open = to.endswith("/")
        self._template = Template(to, pattern.names)

    def location(self, captures: dict[str, str], path: str, query: str) -> str:
        """Return the value of Location."""
        text = self._template.fill(captures)
        if self._open:
            text = _join(text, self._pattern, path)
        if text.startswith("//"):
            # A browser would read it as another host.
            text = "/" + text.lstrip("/")
        return f"{text}?{query}" if query and self._open else text


def _join(prefix: str, pattern: PathPattern, path: str) -> str:
    rest = pattern.rest(path)
    if prefix.endswith("/") and not pattern.text.endswith("/"):
        rest = rest.removeprefix("/")  # /old* became /new/
    return prefix + rest
