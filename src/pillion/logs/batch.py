"""Records gathered for one request, with the positions that hold once it has been taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pillion.logs.feed import Feed
    from pillion.logs.lines import Item
    from pillion.logs.positions import Key
    from pillion.logs.recognise import Recogniser
    from pillion.logs.sinks import Groups, Records, Sink


class Batch(msgspec.Struct, frozen=True):
    """Ready to be sent: `ends` are the positions behind it, `oldest_ns` the arrival of its first record."""

    body: bytes
    count: int
    size: int
    ends: Mapping[Key, int]
    oldest_ns: int


class Draft:
    """The batch that is being gathered; bounded by `max_bytes` (before compression) and `max_records`.

    `resource` gives the resource attributes of a run.
    """

    def __init__(
        self,
        sink: Sink,
        resource: Callable[[str], Mapping[str, object]],
        *,
        max_bytes: int,
        max_records: int,
    ) -> None:
        self._sink = sink
        self._resource = resource
        self._max_bytes = max_bytes
        self._max_records = max_records
        self._records: dict[Key, tuple[Feed, Records]] = {}
        self._ends: dict[Key, int] = {}
        self._oldest_ns = 0
        self.share = 1.0
        self.size = 0
        self.count = 0
        self.began_s = 0.0

    @property
    def full(self) -> bool:
        """Whether no further record goes in: `share` of the bounds is reached."""
        return self.size >= self._bytes_left_of(0) or self.count >= self._records_left_of(0)

    def _bytes_left_of(self, size: int) -> int:
        return int(self._max_bytes * self.share) - size

    def _records_left_of(self, count: int) -> int:
        return max(1, int(self._max_records * self.share)) - count

    def fill(
        self, feed: Feed, items: Sequence[Item], at: int, recogniser: Recogniser, now_s: float
    ) -> int:
        """Take `items` of `feed` from `at` on, as many as go in; return where it ended."""
        known = self._records.get(feed.key)
        if known is None:
            records = self._sink.records(feed.attributes, feed.stream)
            known = self._records[feed.key] = (feed, records)
        records = known[1]
        size, count = records.size, records.count
        end = records.fill(
            items,
            at,
            recogniser,
            size + self._bytes_left_of(self.size),
            count + self._records_left_of(self.count),
        )
        if end > at:
            if self.count == 0:
                self.began_s = now_s
                self._oldest_ns = items[at].time_ns
            self.size += records.size - size
            self.count += records.count - count
            self._ends[feed.key] = items[end - 1].end
        return end

    def seal(self) -> Batch:
        """Return the batch, and begin anew."""
        scopes: dict[str, dict[str, list[bytes | memoryview]]] = {}
        for feed, records in self._records.values():
            if records.count:
                of_run = scopes.setdefault(feed.run, {})
                of_run.setdefault(feed.scope, []).append(records.take())
        groups: Groups = [
            (
                self._resource(run),
                [(scope, part) for scope, parts in of_run.items() for part in parts],
            )
            for run, of_run in scopes.items()
        ]
        batch = Batch(self._sink.seal(groups), self.count, self.size, self._ends, self._oldest_ns)
        # Encoders are kept for the next batch, but not those of streams long finished.
        if len(self._records) > 16:
            self._records.clear()
        self._ends = {}
        self.size = self.count = 0
        return batch
