"""The words of an nginx configuration, quoted in one place, so that no value of the settings can end its word, its directive or its block."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING

from pillion.proxies.templating.rendered import RenderError

if TYPE_CHECKING:
    from collections.abc import Iterator

DOLLAR = "${pillion_dollar}"
"""The variable that is a dollar sign: nginx has no other way to write one where variables are put in."""
WORD_BYTES = 4000
"""A word of the configuration must fit into one buffer of nginx's reader (4096 bytes, with its quotes)."""

_BARE = re.compile(r"[A-Za-z0-9_./:$@=*+~^-][A-Za-z0-9_./:$@=*+~^,-]*", re.ASCII)
# nginx reads these after a backslash and leaves any other backslash as it is (ngx_conf_read_token).
_ESCAPED = frozenset("\"'\\trn")


def literal(text: str) -> str:
    """`text` for a place where nginx puts variables in, such that it means itself."""
    return text.replace("$", DOLLAR)


def directory(path: str) -> str:
    """A directory of the settings as nginx reads it, whole."""
    return literal(os.path.abspath(path))


def word(text: str) -> str:
    """`text` as one word of a configuration; raises `RenderError` for what nginx cannot be told."""
    as_quoted = quoted(text)
    return text if _BARE.fullmatch(text) else as_quoted


def quoted(text: str) -> str:
    """`text` as one word within quotes; raises as `word` does."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise RenderError(
            f"cannot render offload: {text!r} is not UTF-8; give it another name"
        ) from None
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in text):
        raise RenderError(
            f"cannot render offload: {text!r} has a control character; give it another name"
        )
    if size > WORD_BYTES:
        raise RenderError(
            f"cannot render offload: {text[:40]!r}… has {size} bytes, of which nginx reads {WORD_BYTES}; shorten it"
        )
    return '"' + "".join(_pieces(text)) + '"'


class Writer:
    """Directives and blocks, indented; the text when it is asked for."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0

    def say(self, name: str, *words: str) -> None:
        """A directive."""
        self._line(" ".join((name, *map(word, words))) + ";")

    def why(self, text: str) -> None:
        """A comment, of ours alone."""
        self._line(f"# {text}")

    def gap(self) -> None:
        """An empty line."""
        self._lines.append("")

    @contextlib.contextmanager
    def block(self, name: str, *words: str) -> Iterator[None]:
        """A block, in which is said what is said meanwhile."""
        self._line(" ".join((name, *map(word, words))) + " {")
        self._depth += 1
        yield
        self._depth -= 1
        self._line("}")

    @contextlib.contextmanager
    def when_file(self, path: str) -> Iterator[None]:
        """A block that holds when there is a file at `path`, which may have variables in it."""
        # Quoted in any case: the parenthesis that follows would be a part of a bare word.
        with self._condition("-f " + quoted(path)):
            yield

    @contextlib.contextmanager
    def when(self, variable: str) -> Iterator[None]:
        """A block that holds when the variable is neither empty nor 0."""
        with self._condition(variable):
            yield

    @contextlib.contextmanager
    def _condition(self, text: str) -> Iterator[None]:
        self._line(f"if ({text}) {{")
        self._depth += 1
        yield
        self._depth -= 1
        self._line("}")

    def map(self, source: str, variable: str, *rows: tuple[str, str], default: str = "") -> None:
        """A map of `source` to `variable`; the keys are words, or regular expressions after a `~`, the first of which holds."""
        with self.block("map", source, variable):
            self.say("default", default)
            for key, value in rows:
                self._line(f"{word(key)} {word(value)};")

    def _line(self, text: str) -> None:
        self._lines.append("    " * self._depth + text)

    def text(self) -> str:
        """All of it."""
        return "\n".join(self._lines) + "\n"


def _pieces(text: str) -> Iterator[str]:
    for at, one in enumerate(text):
        if one == '"':
            yield '\\"'
        elif one == "\\" and (at + 1 == len(text) or text[at + 1] in _ESCAPED):
            yield "\\\\"
        else:
            yield one
