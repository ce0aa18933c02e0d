"""The ambassador's records as log records: a body for people, a level that follows from the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pillion.keeper.streams import REQUESTS
from pillion.logs.lines import Line, Loss
from pillion.logs.otlp_json import JsonRecords
from pillion.logs.recognise import Recogniser
from pillion.logs.records import line_record
from pillion.logs.requests import RequestRecords, read_request

NOW = 1_795_360_527_000_000_000
RECORD = {
    "time": "2026-11-22T15:15:26.123456Z",
    "direction": "outbound",
    "method": "GET",
    "host": "orders.internal",
    "path": "/orders/1",
    "version": "1.1",
    "status": 200,
    "total_ms": 2.25,
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "span_id": "b7ad6b7169203331",
}


def line(offset: int = 0, **changed: Any) -> Line:
    data = json.dumps({**RECORD, **changed}).encode()
    return Line(offset, offset + len(data) + 1, NOW, data, False)


@pytest.mark.parametrize(
    ("changed", "body", "severity"),
    [
        ({}, "GET orders.internal/orders/1 200", 9),
        ({"status": 404}, "GET orders.internal/orders/1 404", 9),
        ({"status": 301, "reason": "redirect"}, "GET orders.internal/orders/1 301 redirect", 9),
        ({"status": 429, "reason": "rate-limited"}, "… 429 rate-limited", 13),
        ({"note": "client-left"}, "… 200 client-left", 13),
        ({"status": 500}, "… 500", 17),
        ({"status": 0, "reason": "connect-failed"}, "… connect-failed", 17),
        (
            {"status": 0, "method": "", "host": "", "path": "", "version": "tcp", "upstream": "db"},
            "tcp db",
            9,
        ),
    ],
)
def test_body_and_level_follow_from_the_record(
    changed: dict[str, Any], body: str, severity: int
) -> None:
    record = line_record("run", REQUESTS, line(**changed), Recogniser())
    assert record.body == body.replace("…", "GET orders.internal/orders/1")
    assert record.severity == severity
    assert record.told_ns == 1_795_360_526_123_456_000
    assert record.trace_id == RECORD["trace_id"]
    assert record.attributes is not None
    assert record.attributes["total_ms"] == 2.25
    assert record.text.startswith("{")


@pytest.mark.parametrize(
    "data", [b"a line", b"{}", b'{"status": "200", "total_ms": 1}', b'{"status": 200}', b"[1]"]
)
def test_what_is_no_such_record_stays_as_it_is(data: bytes) -> None:
    facts = Recogniser().recognise(data, NOW)
    read_request(facts)
    assert (facts.body, facts.severity) == (data, 0)


def test_other_streams_are_not_read_this_way() -> None:
    record = line_record("run", "stdout", line(), Recogniser())
    assert record.body == record.text


def test_a_batch_has_records_and_losses_within_its_bounds() -> None:
    records = RequestRecords(JsonRecords({}, REQUESTS))
    items: list[Line | Loss] = [line(), Loss(200, 300, NOW, 100, "dropped"), line(300), line(400)]
    # What the user wants recognised in the app's lines is another matter.
    at = records.fill(items, 0, Recogniser(json=False, level=False), 1 << 20, 3)
    assert (at, records.count) == (3, 3)
    found = json.loads(b"[" + records.take() + b"]")
    assert [one["severityNumber"] for one in found] == [9, 13, 9]
    assert found[1]["body"]["stringValue"] == "100 bytes of requests were lost (dropped)"
    assert records.size == records.count == 0
