"""What is wrong with a settings file, as data: every problem with its place, so that one run of `pillion check` is enough."""

from __future__ import annotations

from pillion.settings.lean import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


Path = tuple[str | int, ...]
"""Where a value sits: ("logs", "files", 0)."""

_SECRETS = "secrets"
"""The section in which no value is repeated: somebody may have written there what should stand elsewhere."""
_BARE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def dotted(path: Path) -> str:
    """The path as a user would write it: `logs.files[0]`, `app.env."two words"`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        bare = bool(part) and _BARE.issuperset(part)
        text += ("." if text else "") + (part if bare else '"' + part.replace('"', '\\"') + '"')
    return text


class Finding(NamedTuple):
    """A problem before its line is known: validation sees values, not text."""

    path: Path
    message: str
    expected: str = ""
    suggestion: str | None = None


class Problem(NamedTuple):
    """One problem of a settings file or of a `--set` override.

    `line` and `column` count from 1, None where there is no text to point at. `path` is dotted, empty for the file as a
    whole. `suggestion` is the nearest right name or value.
    """

    line: int | None
    path: str
    message: str
    expected: str = ""
    suggestion: str | None = None
    source: str = "pillion.toml"
    column: int | None = None

    def __str__(self) -> str:
        """`pillion.toml:12: app.restrat: unknown setting; did you mean app.restart?`."""
        place = self.source
        if self.line is not None:
            place += f":{self.line}"
            if self.column is not None:
                place += f":{self.column}"
        text = f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"
        if self.expected:
            text += f"; expected {self.expected}"
        if self.suggestion:
            text += f"; did you mean {self.suggestion}?"
        return text


class SettingsError(Exception):
    """Settings that cannot be used. `problems` holds all of them, in the order of the text; never empty."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Place:
    """A position in the tree being read, and the list into which its findings go."""

    __slots__ = ("findings", "path")

    def __init__(self, path: Path = (), findings: list[Finding] | None = None) -> None:
        self.path = path
        self.findings: list[Finding] = [] if findings is None else findings

    def child(self, key: str | int) -> Place:
        """The place of a member, reporting into the same list."""
        return Place((*self.path, key), self.findings)

    def report(self, message: str, expected: str = "", suggestion: str | None = None) -> None:
        """Note a problem here and carry on: all of them are wanted."""
        if self.path[:1] == (_SECRETS,) and message.startswith("cannot use "):
            # A name is the user's own word for it; anything else could be the secret itself.
            is_name = message.startswith("cannot use this name")
            message = message if is_name else "cannot use this value"
        self.findings.append(Finding(self.path, message, expected, suggestion))


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that a reader would take for a slip of `word`, or None."""
    import difflib  # only wanted when something is wrong; not worth its start-up cost otherwise

    found = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.7)
    return found[0] if found else None
