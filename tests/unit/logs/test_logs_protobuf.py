"""What the encoder of records does with its buffer; a property test decodes what it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

if TYPE_CHECKING:
    from types import SimpleNamespace

ARRIVED_NS = 1_795_360_526_000_000_000


def _bodies(taken: memoryview) -> list[str]:
    scope = ScopeLogs()
    scope.ParseFromString(bytes(taken))
    return [record.body.string_value for record in scope.log_records]


def _fill(hot: SimpleNamespace, made: object, lines: list[bytes]) -> None:
    items = hot.lines.LineSplitter().feed(ARRIVED_NS, b"".join(line + b"\n" for line in lines))
    end = made.fill(items, 0, hot.recognise.Recogniser(), 1 << 30, 1 << 30)  # type: ignore[attr-defined]
    assert end == len(lines)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_300, 16_384, 100_000])
def test_a_record_of_any_size_has_room(hot: SimpleNamespace, size: int) -> None:
    made = hot.protobuf.ProtobufRecords({"a": "b"}, "stdout")
    lines = [b"before", b"x" * size, b"after"]
    _fill(hot, made, lines)
    assert _bodies(made.take()) == [line.decode() for line in lines]


def test_what_is_taken_is_not_taken_again(hot: SimpleNamespace) -> None:
    made = hot.protobuf.ProtobufRecords({}, "stdout")
    _fill(hot, made, [b"x" * 200_000])
    assert len(made.take()) > 200_000
    assert (made.size, made.count) == (0, 0)
    # Far smaller than the one before: the buffer is given back, and what was taken is untouched.
    _fill(hot, made, [b"one", b"two"])
    first = made.take()
    assert _bodies(first) == ["one", "two"]
    _fill(hot, made, [b"three"])
    assert _bodies(made.take()) == ["three"]


def test_one_line_leaves_nothing_to_the_next(hot: SimpleNamespace) -> None:
    made = hot.protobuf.ProtobufRecords({}, "stdout")
    _fill(
        hot,
        made,
        [
            b'{"level":"warn","msg":"a","n":1,"trace_id":"5b8aa5a2d2c872e8321cf37308d69df2"}',
            b"2026-11-22T15:15:26.5Z ERROR b",
            b"2026-11-22T15:15:26 c",
            b"2026-11-22T15:15:27Z INFO d",
            b"e",
        ],
    )
    scope = ScopeLogs()
    scope.ParseFromString(bytes(made.take()))
    told = [
        (
            record.severity_number,
            record.severity_text,
            bool(record.trace_id),
            len(record.attributes),
        )
        for record in scope.log_records
    ]
    assert told == [
        (13, "warn", True, 2),
        (17, "ERROR", False, 1),
        (0, "", False, 1),
        (9, "INFO", False, 1),
        (0, "", False, 1),
    ]
    second = 1_000_000_000
    times = [record.time_unix_nano for record in scope.log_records]
    assert times[1] % second == second // 2
    assert times[3] - times[1] == second // 2
    assert times[4] == 0


@pytest.mark.parametrize("level", ["ÄRGER", "x" * 200, "é" * 60])
def test_a_level_is_valid_and_short(hot: SimpleNamespace, level: str) -> None:
    made = hot.protobuf.ProtobufRecords({}, "stdout")
    facts = hot.facts.Facts(b"x")
    facts.level = level.encode()
    made.add(facts, 0, ARRIVED_NS, False)
    scope = ScopeLogs()
    scope.ParseFromString(bytes(made.take()))
    assert scope.log_records[0].severity_text.encode()[:8] == level.encode()[:8]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"trace_id=5b8aa5a2d2c872e8321cf37308d69df2", True),
        (b"c c tracec traceId: 5b8aa5a2d2c872e8321cf37308d69df2", True),
        (b"trac", False),
        (b"race_id=5b8aa5a2d2c872e8321cf37308d69df2", False),
        (b"a trace", False),
        (b"c", False),
        (b"cccctrac", False),
    ],
)
def test_a_trace_is_found_wherever_it_stands(
    hot: SimpleNamespace, line: bytes, found: bool
) -> None:
    facts = hot.recognise.Recogniser().recognise(line, ARRIVED_NS)
    assert bool(facts.trace) is found


def test_attributes_of_any_text_and_number_are_written(hot: SimpleNamespace) -> None:
    attributes: dict[str, object] = {
        "ascii": "x" * 5000,
        "größe": "ß😀" * 3000,
        "half \ud800": "half \udfff",
        "n": -1,
        "list": ["a", 1],
        "": "",
    }
    made = hot.protobuf.ProtobufRecords({}, "stdout")
    facts = hot.facts.Facts(b"x")
    facts.attributes = attributes
    for _ in range(2):
        made.add(facts, 0, ARRIVED_NS, False)
    facts.attributes = {f"k{n}": n for n in range(200)}
    made.add(facts, 0, ARRIVED_NS, False)
    scope = ScopeLogs()
    scope.ParseFromString(bytes(made.take()))
    for record in scope.log_records[:2]:
        found = {one.key: one.value for one in record.attributes}
        assert found["ascii"].string_value == "x" * 5000
        assert found["größe"].string_value == "ß😀" * 3000
        assert found["half \\ud800"].string_value == "half \\udfff"
        assert found["n"].int_value == -1
        assert [one.WhichOneof("value") for one in found["list"].array_value.values] == [
            "string_value",
            "int_value",
        ]
        assert found[""].WhichOneof("value") == "string_value"
    assert scope.log_records[2].dropped_attributes_count == 72
    assert len(scope.log_records[2].attributes) == 128 + 1
