"""Spans: of sampled requests alone, the record with what a span has beside it, and only where somebody reads them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from ambassador_facts import PARENT_ID, SPAN_ID, START_NS, some_facts, taken
from pillion.ambassador.policy import Policy
from pillion.ambassador.request_log import RequestLog
from pillion.ambassador.spans import Spans
from pillion.settings import parse
from pillion.settings.ambassador import RequestLog as Settings
from virtual_loop import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Iterator

OTLP = '[telemetry]\notlp = "http://127.0.0.1:4318"\n'
UPSTREAM = '[ambassador.upstreams]\norders = "http://127.0.0.1:3001"\n'


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.close()


def test_a_span_is_the_record_with_its_times_and_its_parent(loop: VirtualLoop) -> None:
    messages: list[bytes] = []
    log = RequestLog(Settings(), taken([]), loop)
    spans = Spans(log, taken(messages), loop)
    facts = some_facts(sampled=True, parent_id=PARENT_ID, query="token=abc")
    spans.write(facts)
    spans.close()
    found = json.loads(b"".join(messages))
    record = json.loads(log.encode(facts, None))
    beside = {"parent_id": PARENT_ID, "start_ns": START_NS, "end_ns": START_NS + 2_250_000}
    assert found == {**record, **beside}
    assert found["query"] == "token=***"
    assert found["span_id"] == SPAN_ID


@pytest.mark.parametrize("changed", [{"sampled": False}, {"sampled": True, "span_id": ""}])
def test_what_is_not_sampled_has_no_span(loop: VirtualLoop, changed: dict[str, Any]) -> None:
    spans = Spans(RequestLog(Settings(), taken([]), loop), taken([]), loop)
    spans.write(some_facts(**changed))
    spans.close()
    assert (spans.written, spans.outlet.lines) == (0, 0)


def test_requests_that_are_not_logged_have_spans(loop: VirtualLoop) -> None:
    spans = Spans(RequestLog(Settings(enabled=False), taken([]), loop), taken([]), loop)
    spans.write(some_facts(sampled=True))
    spans.close()
    assert spans.outlet.lines == 1


@pytest.mark.parametrize(
    ("text", "exported"),
    [
        (UPSTREAM + OTLP, True),
        (UPSTREAM, False),
        (OTLP + UPSTREAM + "[ambassador.trace]\nexport = false\n", False),
    ],
)
def test_spans_are_written_only_where_a_receiver_is(text: str, exported: bool) -> None:
    encoded = Policy(parse(text)).encoded
    trace = cast("dict[str, object]", encoded.get("trace", {}))
    assert trace.get("export", True) == exported
