"""Text that knows where it comes from, so that what a proxy says about line 40 of its file can name line 12 of the template.

Every chunk that a template gives bears its template and line through macros, includes and loops; putting the chunks together gives the file
and the origin of each of its lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pillion.proxies.templating.rendered import Origin

Piece: TypeAlias = "tuple[str, Origin]"
NOWHERE: Origin = ("", 0)
"""Where text comes from that no template has."""


class Text(str):
    """Text that may stand in the file as it is: the template's own words, and what filters give.

    Whatever is done to it gives a plain `str`, which is looked at again when it is written. `pieces` say where its parts come from; there are
    none when that is wherever it is written.
    """

    __slots__ = ("pieces",)

    pieces: tuple[Piece, ...]

    def __new__(cls, text: str, pieces: tuple[Piece, ...] = ()) -> Self:
        """`text` with its origins."""
        made = super().__new__(cls, text)
        made.pieces = pieces
        return made


def joined(texts: Iterable[Text]) -> Text:
    """One text of several, with all their origins."""
    pieces: list[Piece] = []
    for text in texts:
        pieces += text.pieces
    return Text("".join(piece for piece, _ in pieces), tuple(pieces))


def with_lines(texts: Iterable[Text]) -> tuple[str, tuple[Origin, ...]]:
    """The whole text, and the origin of each of its lines: that of the first piece that puts something visible on it."""
    parts: list[str] = []
    origins: list[Origin] = []
    # Of the line that is being put together: where it began, and where its first visible part comes from.
    first: Origin | None = None
    visible: Origin | None = None
    for text in texts:
        for piece, origin in text.pieces:
            parts.append(piece)
            for at, line in enumerate(piece.split("\n")):
                if at:
                    origins.append(visible or first or origin)
                    first = visible = None
                if line and first is None:
                    first = origin
                if visible is None and line and not line.isspace():
                    visible = origin
    if first is not None:
        origins.append(visible or first)
    return "".join(parts), tuple(origins)
