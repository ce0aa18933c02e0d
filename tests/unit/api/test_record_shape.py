"""What the document says of a record is what a record is."""

from __future__ import annotations

import msgspec
import pytest

from pillion.api.records import RecordItem
from pillion.logs.records import Record

PLAIN = Record(run="r", stream="api", offset=7, time_ns=1, text="x", body="x")
FULL = Record(
    run="r",
    stream="stdout",
    offset=7,
    time_ns=1,
    text='{"msg": "x"}',
    body="x",
    severity=9,
    level="info",
    told_ns=2,
    trace_id="a" * 32,
    span_id="b" * 16,
    cut=True,
    attributes={"n": 1},
)
LOSS = Record(
    run="r", stream="api", offset=7, time_ns=1, text="", body="", lost=3, lost_to=10, why="dropped"
)


@pytest.mark.parametrize("record", [PLAIN, FULL, LOSS])
def test_every_member_of_a_record_is_described(record: Record) -> None:
    told = record.to_json()
    described = msgspec.json.decode(told, type=RecordItem)
    names = {field.encode_name for field in msgspec.structs.fields(RecordItem)}
    assert set(msgspec.json.decode(told, type=dict[str, msgspec.Raw])) <= names
    assert (described.stream, described.offset) == (record.stream, 7)
    assert (described.lost is not None) == bool(record.lost)
