"""Where each key of a TOML text stands. tomllib gives values without places, and a problem without a line is a riddle.

The scanner trusts that tomllib has accepted the text: it only has to find its way, not to judge. It runs only when there is a
problem to report.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.settings.problems import Path

_BARE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_BLANK = frozenset(" \t")
_SPACE = frozenset(" \t\r\n")
_VALUE_END = frozenset(",]}#\r\n")


def locate(text: str) -> Mapping[Path, int]:
    """The line, from 1, of every table, key and array element of a valid TOML text."""
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.document()
    return scanner.lines


def parse_key(text: str) -> tuple[tuple[str, ...], str]:
    """A dotted key at the start of `text`, and what follows it. Raises ValueError when there is none."""
    scanner = _Scanner(text)
    parts = scanner.key()
    return parts, text[scanner.at :]


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self._counted = 0
        self._line = 1
        self._arrays: dict[Path, int] = {}
        """Arrays of tables, and the index of the last table of each."""

    def document(self) -> None:
        table: Path = ()
        while self._skip(_SPACE):
            if self._peek() == "#":
                self._comment()
            elif self._peek() == "[":
                table = self._header()
            else:
                self._assignment(table)

    def key(self) -> tuple[str, ...]:
        parts = []
        while True:
            self._skip(_BLANK)
            start = self.at
            quote = self._peek()
            if quote in ('"', "'") and quote:
                self._string(quote)
                import tomllib  # escapes are its business; not at the top: agent and shipper read JSON, and need not pay for it

                parts.append(str(tomllib.loads("k = " + self.text[start : self.at])["k"]))
            else:
                self._skip(_BARE)
                if self.at == start:
                    raise ValueError("no key")
                parts.append(self.text[start : self.at])
            self._skip(_BLANK)
            if self._peek() != ".":
                return tuple(parts)
            self.at += 1

    def _header(self) -> Path:
        line = self._here()
        element = self.text.startswith("[[", self.at)
        self.at += 2 if element else 1
        parts = self.key()
        self.at = min(len(self.text), self.at + (2 if element else 1))
        path: Path = ()
        for part in parts[:-1]:
            path = self._enter((*path, part), line)
        path = (*path, parts[-1])
        if not element:
            # An explicit header is a better place than the first mention in a longer one.
            self.lines[path] = line
            return path
        self.lines.setdefault(path, line)
        self._arrays[path] = self._arrays.get(path, -1) + 1
        path = (*path, self._arrays[path])
        self.lines[path] = line
        return path

    def _enter(self, path: Path, line: int) -> Path:
        self.lines.setdefault(path, line)
        return (*path, self._arrays[path]) if path in self._arrays else path

    def _assignment(self, table: Path) -> None:
        line = self._here()
        path = table
        for part in self.key():
            path = (*path, part)
            self.lines.setdefault(path, line)
        if self._peek() == "=":
            self.at += 1
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip(_BLANK)
        first = self._peek()
        if first and first in "\"'":
            self._string(first)
        elif first == "[":
            self._array(path)
        elif first == "{":
            self._inline(path)
        else:
            while self.at < len(self.text) and self.text[self.at] not in _VALUE_END:
                self.at += 1

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while (mark := self._mark()) not in ("]", ""):
            if mark == ",":
                self.at += 1
                continue
            before = self.at
            element = (*path, index)
            self.lines[element] = self._here()
            self._value(element)
            index += 1
            if self.at == before:
                return
        self.at += 1

    def _inline(self, path: Path) -> None:
        self.at += 1
        while (mark := self._mark()) not in ("}", ""):
            if mark == ",":
                self.at += 1
            else:
                self._assignment(path)
        self.at += 1

    def _mark(self) -> str:
        """The next character that is neither white space nor comment; empty at the end."""
        while self._skip(_SPACE):
            if self._peek() != "#":
                return self._peek()
            self._comment()
        return ""

    def _string(self, quote: str) -> None:
        if not self.text.startswith(quote * 3, self.at):
            self.at += 1
            self._until(quote, escapes=quote == '"')
            return
        self.at += 3
        self._until(quote * 3, escapes=quote == '"')
        # Up to two quotes may precede the closing three (TOML 1.0, "String").
        for _ in range(2):
            if self._peek() == quote:
                self.at += 1

    def _until(self, end: str, *, escapes: bool) -> None:
        while self.at < len(self.text):
            if escapes and self.text[self.at] == "\\":
                self.at += 2
            elif self.text.startswith(end, self.at):
                self.at += len(end)
                return
            else:
                self.at += 1

    def _comment(self) -> None:
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end

    def _skip(self, characters: frozenset[str]) -> bool:
        """Move over `characters`; False at the end of the text."""
        while self.at < len(self.text) and self.text[self.at] in characters:
            self.at += 1
        return self.at < len(self.text)

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _here(self) -> int:
        # Counted from the last place, so that a long file costs one pass.
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line
