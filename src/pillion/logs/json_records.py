"""What encoders that write a piece of JSON per record share: taking items up to a bound, and giving the pieces out."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pillion.logs.lines import Line
from pillion.logs.losses import loss_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pillion.logs.facts import Facts
    from pillion.logs.lines import Item
    from pillion.logs.recognise import Recogniser


class JsonPieces:
    """Records of one stream as pieces of JSON; `stream` is its name, for what is said of its losses.

    `size` is in bytes, separators included, `count` in records.
    """

    SEPARATOR: ClassVar[bytes]

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._parts: list[bytes] = []
        self.size = 0
        self.count = 0

    def encode(self, facts: Facts, offset: int, time_ns: int, *, cut: bool) -> bytes:
        """Return the record of what was recognised in the line at `offset`, which arrived at `time_ns`."""
        raise NotImplementedError

    def add(self, facts: Facts, offset: int, time_ns: int, cut: bool) -> None:
        """Append a record."""
        data = self.encode(facts, offset, time_ns, cut=cut)
        self._parts.append(data)
        self.size += len(data) + len(self.SEPARATOR)
        self.count += 1

    def take(self) -> bytes:
        """Return the pieces, and begin anew."""
        data = self.SEPARATOR.join(self._parts)
        self._parts.clear()
        self.size = self.count = 0
        return data

    def fill(
        self, items: Sequence[Item], at: int, recogniser: Recogniser, size: int, count: int
    ) -> int:
        """Encode `items` from `at` on until there are `size` bytes or `count` records; return where it ended."""
        while at < len(items) and self.size < size and self.count < count:
            item = items[at]
            at += 1
            if isinstance(item, Line):
                facts = recogniser.recognise(item.data, item.time_ns)
                self.add(facts, item.offset, item.time_ns, item.cut)
            else:
                self.add(loss_facts(self._stream, item), item.offset, item.time_ns, False)
        return at
