"""Tables for people on a terminal, the same columns without colour for pipes."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_GAP = "  "
_RESET = "\x1b[0m"
_STYLES = {
    "bold": "\x1b[1m",
    "dim": "\x1b[2m",
    "red": "\x1b[31m",
    "green": "\x1b[32m",
    "yellow": "\x1b[33m",
}

STATE_STYLES: Mapping[str, str] = {
    "running": "green",
    "ready": "green",
    "waiting": "yellow",
    "starting": "yellow",
    "backoff": "yellow",
    "stopping": "yellow",
    "stopped": "dim",
    "ended": "dim",
    "failed": "red",
}


class Cell(msgspec.Struct, frozen=True):
    """A text with a style; `right` aligns it to the right, as numbers are."""

    text: str
    style: str = ""
    right: bool = False


def has_colour(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether to colour what goes to `stream`: a terminal, and neither NO_COLOR nor TERM=dumb says no."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def printable(text: str) -> str:
    """`text` with control characters escaped: what an app says of itself must not steer the terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def paint(text: str, style: str, *, colour: bool) -> str:
    """`text` in `style` when there is colour."""
    return f"{_STYLES[style]}{text}{_RESET}" if colour and style else text


def render(
    heads: Sequence[str], rows: Sequence[Sequence[Cell | str]], *, colour: bool
) -> list[str]:
    """The lines of an aligned table; the last column is not padded."""
    cells = [[one if isinstance(one, Cell) else Cell(one) for one in row] for row in rows]
    widths = [
        max([len(head), *(len(row[i].text) for row in cells)]) for i, head in enumerate(heads)
    ]
    right = [bool(cells) and all(row[i].right for row in cells) for i in range(len(heads))]
    top = [Cell(head, "bold", right[i]) for i, head in enumerate(heads)]
    return [_line(row, widths, colour=colour) for row in [top, *cells]]


def _line(row: Sequence[Cell], widths: Sequence[int], *, colour: bool) -> str:
    parts = []
    for i, cell in enumerate(row):
        space = " " * (widths[i] - len(cell.text))
        text = paint(cell.text, cell.style, colour=colour)
        parts.append(space + text if cell.right else text + space)
    return _GAP.join(parts).rstrip()


def write_lines(lines: Sequence[str], stream: TextIO | None = None) -> None:
    """Write `lines` at once, so that a refreshed screen does not flicker."""
    (stream or sys.stdout).write("".join(line + "\n" for line in lines))
