"""Records of the ambassador's request log as log records: their fields stay attributes, a line for people is the body.

The ambassador writes neither level nor message, since it writes for every request; both follow from the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.keeper.streams import REQUESTS
from pillion.logs.lines import Line
from pillion.logs.losses import loss_facts
from pillion.logs.recognise import Recogniser
from pillion.logs.severity import ERROR, INFO, WARN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pillion.logs.facts import Facts
    from pillion.logs.json_records import JsonPieces
    from pillion.logs.lines import Item
    from pillion.logs.protobuf import ProtobufRecords


def read_request(facts: Facts) -> None:
    """Give the record of a request its body and level: an error when nobody answered or a 5xx was, a warning when
    Pillion refused or noted something.

    What is no such record stays as it is.
    """
    fields = facts.attributes
    if fields is None:
        return
    status = fields.get("status")
    if not isinstance(status, int) or "total_ms" not in fields:
        return
    reason, note = fields.get("reason"), fields.get("note")
    if status >= 500 or (status == 0 and reason):
        facts.severity, facts.level = ERROR, b"ERROR"
    elif note or (reason and status >= 400):
        facts.severity, facts.level = WARN, b"WARN"
    else:
        facts.severity, facts.level = INFO, b"INFO"
    method = fields.get("method") or fields.get("version")
    place = f"{fields.get('host') or fields.get('upstream') or ''}{fields.get('path') or ''}"
    words = (method, place, status or "", reason or "", note or "")
    body = " ".join(str(word) for word in words if word != "" and word is not None)
    facts.body = body.encode("utf-8", "backslashreplace")


class RequestRecords:
    """Encodes the stream of requests with `records`, an encoder of log records."""

    def __init__(self, records: ProtobufRecords | JsonPieces) -> None:
        self._records = records
        # Not the one of the app's lines: what is recognised in those is the user's choice.
        self._recogniser = Recogniser()

    @property
    def size(self) -> int:
        """How many bytes the records take."""
        return self._records.size

    @property
    def count(self) -> int:
        """How many they are."""
        return self._records.count

    def take(self) -> bytes | memoryview:
        """Return what was encoded, and begin anew."""
        return self._records.take()

    def fill(
        self, items: Sequence[Item], at: int, recogniser: Recogniser, size: int, count: int
    ) -> int:
        """Encode `items` from `at` on until there are `size` bytes or `count` records; return where it ended."""
        del recogniser
        records = self._records
        while at < len(items) and records.size < size and records.count < count:
            item = items[at]
            at += 1
            if isinstance(item, Line):
                facts = self._recogniser.recognise(item.data, item.time_ns)
                read_request(facts)
                records.add(facts, item.offset, item.time_ns, item.cut)
            else:
                records.add(loss_facts(REQUESTS, item), item.offset, item.time_ns, False)
        return at
