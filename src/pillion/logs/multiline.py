"""Lines that belong together become one record: a stack trace is one event, not thirty.

Bounded in lines, bytes and time, since what is held back is neither shipped nor safe.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pillion.logs.lines import CAP_BYTES, Item, Line

if TYPE_CHECKING:
    from collections.abc import Sequence


class Joiner:
    """Joins the lines of one stream.

    `pattern` is searched in each line. With `starts` a line that matches begins a record and the others continue
    it; without, a line that matches continues the record before. A record ends at `max_lines` lines,
    `max_bytes` bytes, a loss, or when no line came for `timeout_s`.
    """

    def __init__(
        self,
        pattern: str,
        *,
        starts: bool = True,
        max_lines: int = 500,
        max_bytes: int = CAP_BYTES,
        timeout_s: float = 1.0,
    ) -> None:
        # Lines are bytes; a pattern without characters beyond ASCII means the same in both.
        self._search = re.compile(pattern.encode()).search
        self._starts = starts
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._held: list[Line] = []
        self._bytes = 0
        self._last_s = 0.0

    @property
    def deadline_s(self) -> float | None:
        """When what is held is complete without a further line, on the caller's clock; None when nothing is held."""
        return self._last_s + self._timeout_s if self._held else None

    def feed(self, items: Sequence[Item], now_s: float) -> list[Item]:
        """Return the records that `items`, arriving now, complete."""
        out: list[Item] = []
        for item in items:
            if not isinstance(item, Line):
                out += self.flush()
                out.append(item)
                continue
            if self._held and not self._continues(item):
                out += self.flush()
            self._held.append(item)
            self._bytes += len(item.data) + 1
            self._last_s = now_s
        return out

    def due(self, now_s: float) -> list[Item]:
        """Return what is held when its time has come."""
        deadline = self.deadline_s
        return self.flush() if deadline is not None and now_s >= deadline else []

    def flush(self) -> list[Item]:
        """Return what is held as one record."""
        held = self._held
        if not held:
            return []
        self._held = []
        self._bytes = 0
        if len(held) == 1:
            return [held[0]]
        data = b"\n".join([line.data for line in held])
        return [Line(held[0].offset, held[-1].end, held[0].time_ns, data, held[-1].cut)]

    def _continues(self, line: Line) -> bool:
        if len(self._held) >= self._max_lines or self._bytes + len(line.data) > self._max_bytes:
            return False
        if self._held[-1].cut:
            return True  # the rest of a long line, whatever it looks like
        return (self._search(line.data) is None) == self._starts
