"""One stream of one run as records, for those who read the spool without shipping it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.keeper.chunks import SEGMENT_HEADER_BYTES, read_segment_header, segment_name
from pillion.logs.lines import Item, LineSplitter, Loss
from pillion.logs.recognise import Recogniser
from pillion.logs.records import Record, line_record, loss_record
from pillion.logs.runs import stream_dir
from pillion.logs.spool import Gap, Scratch, StreamReader, segments

if TYPE_CHECKING:
    from collections.abc import Iterator


class Source:
    """Reads from the stream's beginning, or from where `enter` puts it; holds one descriptor until `close`."""

    def __init__(self, state_dir: str, run: str, stream: str, scratch: Scratch) -> None:
        self.run = run
        self.stream = stream
        self.whole = True
        self._directory = stream_dir(state_dir, run, stream)
        self._scratch = scratch
        self._recogniser = Recogniser()
        self._begin(0, aligned=True)

    def enter(self, *, since_ns: int | None, segments_back: int | None) -> None:
        """Begin at the last segment that can hold `since_ns`, and at most `segments_back` before the end.

        `whole` tells afterwards whether everything from `since_ns` on will be read.
        """
        there = segments(self._directory)
        at = 0
        if since_ns is not None:
            # One more, because the first line after a segment's beginning is passed over.
            at = max(0, sum(self._created(first) <= since_ns for first in there) - 2)
        self.whole = segments_back is None or len(there) - segments_back <= at
        if segments_back is not None:
            at = max(at, len(there) - segments_back)
        if there and at > 0:
            self._begin(there[at], aligned=False)
        elif there:
            # What the quota has taken long ago is no news.
            self._begin(there[0], aligned=there[0] == 0)

    def records(self, *, until_ns: int | None, final: bool) -> Iterator[Record]:
        """Yield everything that is there, with `final` the unfinished last line too."""
        while step := self.step():
            yield from step
            if until_ns is not None and step[-1].time_ns > until_ns:
                return
        if final:
            for item in self._items(final=True):
                yield self._record(item)

    def step(self) -> list[Record]:
        """Return the records that the next blocks hold; empty when there is nothing more now."""
        while True:
            before = self._reader.expected
            items = self._items(final=False)
            if items or self._reader.expected == before:
                return [self._record(item) for item in items]

    def close(self) -> None:
        """Give the descriptor back."""
        self._reader.close()

    def _begin(self, offset: int, *, aligned: bool) -> None:
        self._reader = StreamReader(self._directory, offset, self._scratch)
        self._splitter = LineSplitter(offset, aligned=aligned)

    def _items(self, *, final: bool) -> list[Item]:
        items: list[Item] = []
        for one in self._reader.read(final=final):
            if isinstance(one, Gap):
                items += self._splitter.gap(one.end, one.time_ns, one.why)
            else:
                items += self._splitter.feed(one.time_ns, one.payload)
        if final:
            items += self._splitter.finish()
        return items

    def _record(self, item: Item) -> Record:
        if isinstance(item, Loss):
            return loss_record(self.run, self.stream, item)
        return line_record(self.run, self.stream, item, self._recogniser)

    def _created(self, first: int) -> int:
        """When the segment was begun, in nanoseconds since the epoch; 0 when its header is damaged."""
        try:
            with open(f"{self._directory}/{segment_name(first)}", "rb") as file:
                header = read_segment_header(file.read(SEGMENT_HEADER_BYTES))
        except FileNotFoundError:
            return 0
        return 0 if header is None else header[1]
