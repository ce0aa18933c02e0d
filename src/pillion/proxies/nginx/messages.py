"""Reads what nginx says, on its stderr or in its error log: how grave, about which line of which file, and whether it is worth trying again."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import msgspec

from pillion.proxies.driver import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_MESSAGES = 50

# ngx_log_error_core() and ngx_log_stderr(): `2026/11/23 00:58:47 [emerg] 7#7: *1 …`, and `nginx: [emerg] …` before there is a log.
_HEAD = re.compile(
    r"(?:\d{4}/\d\d/\d\d \d\d:\d\d:\d\d |nginx: )\[(emerg|alert|crit|error|warn|notice|info|debug)\] "
    r"(?:\d+#\d+: )?(?:\*\d+ )?"
)
# ngx_conf_log_error(): the file, always with its whole path, and the line come last; the message may have an "in" of its own.
_WHERE = re.compile(r"(?s:.*)( in (/[^\n]+):(\d+))\Z")
_SUMMARY = re.compile(r"nginx: (?:the )?configuration file ")
_GRAVE = frozenset({"emerg", "alert", "crit"})
# What may be otherwise a moment later without any change of the configuration: strerror(3) of ports, addresses, disk and descriptors,
# and the resolver's "host not found".
_PASSING = re.compile(
    r"\((?:98|99|28|122|24|23|12|30|5): |host not found in|could not be resolved|still could not bind|connection timed out",
    re.IGNORECASE,
)
_PIECE = re.compile(
    r"""#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{};]|(?:\\.|\$\{|[^\s{};"'#\\])(?:\\.|\$\{|[^\s{};\\])*""",
    re.DOTALL,
)


class Message(msgspec.Struct, frozen=True):
    """One thing that nginx has said, in one line. `level` is its own word (`emerg`, `warn`, …); `file` is "" and `line` 0 when it names none."""

    level: str
    text: str
    file: str = ""
    line: int = 0

    @property
    def grave(self) -> bool:
        """Whether it can keep a configuration from being used."""
        return self.level in _GRAVE

    @property
    def passing(self) -> bool:
        """Whether its cause may go away by itself."""
        return _PASSING.search(self.text) is not None

    def __str__(self) -> str:
        """`nginx.conf line 12: unknown directive "foo"`."""
        return f"{self.file} line {self.line}: {self.text}" if self.file else self.text


def messages(words: str, directories: Sequence[str] = ()) -> tuple[Message, ...]:
    """What nginx says in `words`, at most `MOST_MESSAGES`, each once; files below one of `directories` are named relative to it."""
    found: dict[Message, None] = {}
    for level, text in _parts(words):
        where = _WHERE.match(text)
        if where is None:
            found[Message(level, _line(text))] = None
        else:
            name = _relative(where[2], directories)
            found[Message(level, _line(text[: where.start(1)]), name, int(where[3]))] = None
        if len(found) >= MOST_MESSAGES:
            break
    return tuple(found)


def places(found: Sequence[Message]) -> tuple[Place, ...]:
    """Where the grave ones point to; those of the others when there is no grave one."""
    chosen = [one for one in found if one.grave] or found
    return tuple(Place(one.file, one.line, one.text) for one in chosen)


def error_logs(configuration: str) -> tuple[str, ...]:
    """The absolute paths of files to which the `error_log` directives of the outermost level send what concerns the master
    (https://nginx.org/en/docs/ngx_core_module.html#error_log)."""
    found: list[str] = []
    depth, words = 0, list[str]()
    for piece in _PIECE.findall(configuration):
        if piece.startswith("#"):
            continue
        if piece in "{};":
            if depth == 0 and piece == ";" and len(words) > 1 and words[0] == "error_log":
                found.append(words[1].strip("\"'"))
            depth += {"{": 1, "}": -1}.get(piece, 0)
            words = []
        else:
            words.append(piece)
    return tuple(path for path in found if os.path.isabs(path))


def _parts(words: str) -> Iterator[tuple[str, str]]:
    """Each message with its level; one goes on in the next lines when a word of the configuration that it quotes has several."""
    level, lines = "", list[str]()
    for line in words.splitlines():
        head = _HEAD.match(line)
        if head is None and not _SUMMARY.match(line):
            lines.append(line)
            continue
        if level:
            yield level, "\n".join(lines)
        level, lines = ("", []) if head is None else (head[1], [line[head.end() :]])
    if level:
        yield level, "\n".join(lines)


def _line(text: str) -> str:
    return " ".join(text.split())


def _relative(path: str, directories: Sequence[str]) -> str:
    for directory in directories:
        if path.startswith(f"{directory}/"):
            return path[len(directory) + 1 :]
    return path
