"""Reads a haproxy.cfg as HAProxy does, as far as sections and words go, so that two versions can be compared by what they say."""

from __future__ import annotations

import msgspec

_SECTION_WORDS = (
    "acme backend cache crt-store defaults fcgi-app frontend global http-errors listen log-forward log-profile mailers peers "
    "program resolvers ring traces userlist"
)
SECTIONS = frozenset(_SECTION_WORDS.split())
"""The words that begin a section (HAProxy's configuration manual, sections 3 to 12)."""

PROXIES = frozenset({"backend", "listen"})
"""The sections whose `server` lines are servers; in `peers` the word means a peer."""

# What makes a line more than words between blanks; `split` sees more blanks than HAProxy does, beyond ASCII.
_SPECIAL = frozenset("\"'\\#\v\f\x1c\x1d\x1e\x1f")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


class Unreadable(ValueError):
    """A configuration whose lines cannot be told apart without HAProxy itself; the text says which and why."""


class Line(msgspec.Struct, frozen=True):
    """One line of a section; `number` counts from 1 in the file."""

    number: int
    words: tuple[str, ...]


class Section(msgspec.Struct, frozen=True):
    """A section: `kind` and `name` (may be empty), the `defaults` it names by `from` (empty: the ones before it), and its lines."""

    kind: str
    name: str
    origin: str
    number: int
    lines: tuple[Line, ...]


def read_sections(text: str) -> tuple[Section, ...]:
    """The sections of a configuration in their order. Raises `Unreadable`."""
    sections: list[Section] = []
    head: Line | None = None
    body: list[Line] = []
    for number, raw in enumerate(text.split("\n"), 1):
        words = split_words(raw, number)
        if not words:
            continue
        if words[0].startswith("."):
            # Conditional blocks are decided by HAProxy (its manual, section 2.4).
            raise Unreadable(f"line {number} has the condition {words[0]}")
        if words[0] in SECTIONS:
            if head is not None:
                sections.append(_section(head, body))
            head, body = Line(number, words), []
        elif head is None:
            raise Unreadable(f"line {number} stands before the first section")
        else:
            body.append(Line(number, words))
    if head is not None:
        sections.append(_section(head, body))
    return tuple(sections)


def split_words(line: str, number: int = 1) -> tuple[str, ...]:
    """The words of one line without its comment, by the rules of quoting in section 2.2 of HAProxy's manual.

    A variable (`$NAME`) stays as it is written: only HAProxy knows its value. Raises `Unreadable` for a quote without its end.
    """
    if line.isascii() and _SPECIAL.isdisjoint(line):
        return tuple(line.split())
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    position, end = 0, len(line)
    while position < end:
        letter = line[position]
        position += 1
        if letter == "\\" and quote != "'":
            if position >= end:
                raise Unreadable(f"line {number} ends with a backslash")
            escaped = line[position]
            position += 1
            word = word if word is not None else []
            word.append(_ESCAPED.get(escaped, escaped))
        elif quote:
            if letter == quote:
                quote = ""
            elif word is not None:
                word.append(letter)
        elif letter in "\"'":
            quote = letter
            word = word if word is not None else []
        elif letter == "#":
            break
        elif letter in " \t\r":
            if word is not None:
                words.append("".join(word))
                word = None
        else:
            word = word if word is not None else []
            word.append(letter)
    if quote:
        raise Unreadable(f"line {number} has a {quote} without its end")
    if word is not None:
        words.append("".join(word))
    return tuple(words)


def defaults_of(sections: tuple[Section, ...]) -> dict[int, Section]:
    """Per section that is a proxy, by its position, the `defaults` that hold for it; absent when there are none.

    An anonymous proxy takes the last `defaults` before it, one with `from` the named one (manual, section 4).
    """
    found: dict[int, Section] = {}
    named: dict[str, Section] = {}
    last: Section | None = None
    for position, section in enumerate(sections):
        if section.kind == "defaults":
            last = section
            named[section.name] = section
        elif section.kind in PROXIES or section.kind == "frontend":
            chosen = named.get(section.origin) if section.origin else last
            if chosen is not None:
                found[position] = chosen
    return found


def _section(head: Line, body: list[Line]) -> Section:
    words = head.words[1:]
    origin = ""
    if "from" in words[:-1]:
        place = words.index("from")
        origin = words[place + 1]
        words = words[:place]
    return Section(head.words[0], words[0] if words else "", origin, head.number, tuple(body))
