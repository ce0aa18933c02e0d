"""One stream on its way to one sink: read, split, join, and encoded into the batch at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pillion.logs.lines import LineSplitter
from pillion.logs.spool import Chunk, Gap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pillion.logs.lines import Item
    from pillion.logs.multiline import Joiner
    from pillion.logs.positions import Key


class Reader(Protocol):
    """Where chunks come from: a stream of the spool, or a log file."""

    def read(self, *, final: bool = False) -> list[Chunk | Gap]:
        """Return what one block holds; empty when there is nothing now."""

    def lag_bytes(self) -> int:
        """Return about how much is still to be read."""

    def close(self) -> None:
        """Give descriptors back."""


class Feed:
    """`key` names the stream in the positions, `run` and `stream` for people; `attributes` are on all of its records.

    `read` is called in a thread, everything else in the loop.
    """

    def __init__(
        self,
        key: Key,
        reader: Reader,
        *,
        run: str,
        stream: str,
        position: int,
        scope: str,
        attributes: Mapping[str, object],
        cap_bytes: int,
        joiner: Joiner | None = None,
        final: bool = False,
    ) -> None:
        self.key = key
        self.run = run
        self.stream = stream
        self.errors = 0
        self.reader = reader
        self.scope = scope
        self.attributes = attributes
        self.final = final
        self.finished = False
        self.lag_bytes = 0
        self.lost_bytes = 0
        self.splitter = LineSplitter(position, cap_bytes)
        self._joiner = joiner

    def read(self, *, measure: bool) -> list[Chunk | Gap]:
        """Return the next block's chunks and gaps; with `measure` the lag is determined too. Raises `OSError`."""
        items = self.reader.read(final=self.final)
        if measure:
            self.lag_bytes = self.reader.lag_bytes()
        return items

    def items(
        self, read: Sequence[Chunk | Gap], now_s: float, gap: Callable[[Feed, Gap], None]
    ) -> list[Item]:
        """Return the records that what was read completes; `gap` is told of every gap."""
        items: list[Item] = []
        for one in read:
            if isinstance(one, Chunk):
                items += self.splitter.feed(one.time_ns, one.payload)
            else:
                self.lost_bytes += one.end - one.start
                gap(self, one)
                items += self.splitter.gap(one.end, one.time_ns, one.why)
        return items if self._joiner is None else self._joiner.feed(items, now_s)

    def due(self, now_s: float) -> list[Item]:
        """Return what has waited for further lines long enough."""
        return [] if self._joiner is None else self._joiner.due(now_s)

    @property
    def deadline_s(self) -> float | None:
        """When `due` will have something, on the caller's clock."""
        return None if self._joiner is None else self._joiner.deadline_s

    def finish(self, now_s: float) -> list[Item]:
        """Return what is held back: the stream has ended."""
        items = self.splitter.finish()
        if self._joiner is not None:
            items = self._joiner.feed(items, now_s) + self._joiner.flush()
        return items

    def close(self) -> None:
        """Give descriptors back."""
        self.reader.close()
