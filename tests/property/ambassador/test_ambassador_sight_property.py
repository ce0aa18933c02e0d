"""Whatever a request brings: its record is one line that reads back, and its trace context one that others can read."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambassador_facts import taken
from pillion.ambassador.facts import Facts
from pillion.ambassador.outlet import LINE_BYTES
from pillion.ambassador.record_text import is_plain, quoted
from pillion.ambassador.redaction import HIDDEN, Redaction
from pillion.ambassador.request_log import RequestLog
from pillion.ambassador.spans import Spans
from pillion.ambassador.trace import begin, is_traceparent
from pillion.http.codec.events import Headers
from pillion.logs.spans import read_span
from pillion.settings.ambassador import RequestLog as Settings
from pillion.settings.ambassador import Trace

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = (
    "listener",
    "route",
    "upstream",
    "endpoint",
    "method",
    "host",
    "path",
    "query",
    "reason",
    "peer",
    "note",
)
# Surrogates stand for undecodable bytes.
anything = st.text(st.characters(), max_size=120) | st.binary(max_size=120).map(
    lambda data: data.decode("utf-8", "surrogateescape")
)
numbers = st.integers(0, 2**62)
seconds = st.floats(-1.0, 1e7)


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    made = Facts(draw(st.sampled_from(["outbound", "inbound"])), "")
    for name in NAMES:
        setattr(made, name, draw(anything))
    if draw(st.booleans()):
        made.path *= draw(st.integers(1, 1000))
        made.query *= draw(st.integers(1, 1000))
    made.time_ns = draw(st.integers(1, 2**62))
    made.status = draw(st.integers(0, 599))
    made.attempts = draw(st.integers(0, 9))
    made.connect_s, made.first_s, made.total_s = draw(seconds), draw(seconds), draw(seconds)
    made.bytes_in, made.bytes_out = draw(numbers), draw(numbers)
    made.trace_id, made.span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    made.sampled = True
    return made


fields = st.lists(
    st.tuples(st.sampled_from([b"x-a", b"x-b", b"cookie"]), st.binary(max_size=2000)), max_size=4
)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


@given(facts(), fields)
def test_a_record_is_one_line_that_reads_back(
    loop: asyncio.AbstractEventLoop, given_facts: Facts, items: list[tuple[bytes, bytes]]
) -> None:
    log = RequestLog(Settings(headers=("x-a", "x-b", "cookie")), taken([]), loop)
    line = log.encode(given_facts, Headers(items))
    assert len(line) <= LINE_BYTES
    assert len(line.decode().splitlines()) == 1
    found = json.loads(line)
    assert msgspec.json.decode(line) == found
    for name in NAMES:
        value = getattr(given_facts, name)
        if is_plain(value) and len(value) <= 90 and name != "query":
            assert found.get(name, "") == value
    assert found["status"] == given_facts.status
    assert found["bytes_out"] == given_facts.bytes_out
    assert abs(found["total_ms"] - max(0.0, given_facts.total_s) * 1000) <= 0.001
    if "cookie" in found.get("headers", {}):
        assert found["headers"]["cookie"] == HIDDEN


@given(facts())
def test_a_span_is_one_line_that_reads_back(
    loop: asyncio.AbstractEventLoop, given_facts: Facts
) -> None:
    send = taken([])
    line = Spans(RequestLog(Settings(), send, loop), send, loop).encode(given_facts)
    assert line.count(b"\n") == 1
    span = read_span(line[:-1])
    assert span is not None
    assert span.trace.hex() == given_facts.trace_id
    assert span.start_ns == given_facts.time_ns


@given(anything, st.integers(1, 300))
def test_text_is_escaped_and_cut_within_its_bound(text: str, most: int) -> None:
    shown = quoted(text, most)
    assert len(shown.encode()) <= most + 3
    assert shown.isprintable()
    read = json.loads(f'"{shown}"')
    whole = "".join(f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text)
    assert read == whole or (read.endswith("…") and whole.startswith(read[:-1]))


@given(st.lists(st.tuples(st.sampled_from(["a", "token", "%74oken", "b c"]), anything), max_size=5))
def test_a_hidden_value_is_nowhere(parameters: list[tuple[str, str]]) -> None:
    secrets = "S3CRET"
    query = "&".join(
        f"{name}={secrets if 'oken' in name else value.replace('&', '').replace(';', '')}"
        for name, value in parameters
    )
    shown = Redaction(()).query(query)
    assert secrets not in shown
    assert shown.count("=") == query.count("=")


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_no_traceparent_and_no_tracestate_breaks_anything(parent: bytes, state: bytes) -> None:
    trace = begin(Headers([(b"traceparent", parent), (b"tracestate", state)]), Trace())
    first = trace.lines.split(b"\r\n")[0]
    assert first.startswith(b"traceparent: ")
    told = first.removeprefix(b"traceparent: ")
    assert is_traceparent(told)
    assert told.split(b"-")[1:3] == [trace.trace_id.encode(), trace.span_id.encode()]


@given(
    st.text("0123456789abcdefABCDEFg-", min_size=32, max_size=32),
    st.text("0123456789abcdef", min_size=16, max_size=16),
    st.text("0123456789abcdef", min_size=2, max_size=2),
)
def test_a_trace_is_continued_exactly_when_it_is_one(trace: str, span: str, flags: str) -> None:
    valid = (
        set(trace) <= set("0123456789abcdef") and bool(trace.strip("0")) and bool(span.strip("0"))
    )
    found = begin(Headers([(b"traceparent", f"00-{trace}-{span}-{flags}".encode())]), Trace())
    assert (found.trace_id == trace) == valid
    assert (found.parent_id == span) == valid
    assert not valid or found.sampled == bool(int(flags, 16) & 1)
