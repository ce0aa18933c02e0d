"""Spans of any content, read back by the official classes from both encodings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from otlp_receiver import decode_spans, spans_of
from pillion.logs.lines import Line
from pillion.logs.otlp_traces import TraceSink
from pillion.logs.recognise import Recogniser
from pillion.logs.spans import read_span

if TYPE_CHECKING:
    from pillion.logs.otlp import Answer

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
lines = st.fixed_dictionaries(
    {
        "trace_id": st.integers(1, 2**128 - 1).map(lambda n: f"{n:032x}"),
        "span_id": st.integers(1, 2**64 - 1).map(lambda n: f"{n:016x}"),
        "parent_id": st.sampled_from(["", "00f067aa0ba902b7"]),
        "start_ns": st.integers(1, 2**62),
        "end_ns": st.integers(2**62, 2**63 - 1),
        "direction": st.sampled_from(["inbound", "outbound"]),
        "route": text,
        "endpoint": text,
        "method": st.sampled_from(["GET", "POST", "BREW"]) | text,
        "host": text,
        "path": text,
        "query": text,
        "status": st.integers(0, 599),
        "reason": st.sampled_from(["", "circuit-open"]),
        "attempts": st.integers(0, 9),
        "bytes_in": st.integers(0, 2**62),
        "peer": text,
        "note": st.sampled_from(["", "truncated"]),
    }
)


async def _never(_body: bytes, _headers: object) -> Answer:
    raise AssertionError


@given(st.lists(lines, min_size=1, max_size=4), st.booleans())
def test_what_is_written_is_read_back(given_lines: list[dict[str, object]], as_json: bool) -> None:
    sink = TraceSink(_never, json=as_json, gzip=False)
    records = sink.records({"pillion.run": "r", "pillion.stream": "spans"}, "spans")
    items = [
        Line(n, n + 1, 1, json.dumps(one).encode(), False) for n, one in enumerate(given_lines)
    ]
    assert records.fill(items, 0, Recogniser(), 1 << 24, 1 << 20) == len(items)
    body = sink.seal([({"service.name": "shop"}, [("scope", records.take())])])
    content_type = "application/json" if as_json else "application/x-protobuf"
    found = spans_of(decode_spans(body, content_type))
    assert len(found) == len(given_lines)
    for offset, (line, span) in enumerate(zip(given_lines, found, strict=True)):
        for name in ("trace_id", "span_id", "parent_id", "start_ns", "end_ns"):
            assert span[name] == line[name]
        expected = read_span(json.dumps(line).encode())
        assert expected is not None
        assert (span["name"], span["kind"], span["flags"]) == (
            expected.name,
            expected.kind,
            expected.flags,
        )
        assert (span["status"] == 2, span["message"]) == (expected.failed, expected.message)
        assert {**expected.attributes, "pillion.run": "r", "pillion.stream": "spans"} == {
            key: value for key, value in span["attributes"].items() if key != "pillion.offset"
        }
        assert span["offset"] == offset


@given(st.binary(max_size=200))
def test_no_garbage_is_a_span(data: bytes) -> None:
    assert read_span(data) is None
