"""Compiled or interpreted, requests are told in the same words: records, spans, traces and counts are compared."""

from __future__ import annotations

from importlib import import_module
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import two_policies

from ambassador_facts import SPAN_ID, START_NS, TRACE_ID, taken
from pillion.http.codec.events import Headers
from pillion.settings.ambassador import RequestLog as Settings
from pillion.settings.ambassador import Trace
from virtual_loop import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ("facts", "wall", "outlet", "record_text", "redaction", "trace", "request_log", "metrics")
INSTALLED, SOURCE = (
    SimpleNamespace(
        **{name: import_module(f"{package}.{name}") for name in (*NAMES, "spans", "red_report")}
    )
    for package in ("pillion.ambassador", two_policies.SOURCE.window.__package__)
)
TEXTS = ("", "/orders/1", "a=1&token=abc;b=2", 'say "no"', "ü\x00\n", "\udcff", "x" * 9000, "\\")


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.close()


def facts(sight: SimpleNamespace, random: Random) -> Any:
    made = sight.facts.Facts(random.choice(("inbound", "outbound")), random.choice(TEXTS))
    for name in ("route", "upstream", "endpoint", "method", "host", "path", "query", "peer"):
        setattr(made, name, random.choice(TEXTS))
    made.time_ns = START_NS + random.randrange(10**12)
    made.status = random.choice((0, 101, 200, 304, 404, 503))
    made.reason = random.choice(("", "", "circuit-open", "redirect"))
    made.note = random.choice(("", "", "truncated"))
    made.version = random.choice(("1.1", "tcp"))
    made.attempts = random.randrange(4)
    made.connect_s = random.choice((-1.0, random.random() / 100))
    made.first_s = random.choice((-1.0, random.random()))
    made.total_s = random.choice((0.0005, random.random() * 40))
    made.bytes_in, made.bytes_out = random.getrandbits(40), random.getrandbits(40)
    made.trace_id = random.choice(("", TRACE_ID))
    made.span_id = SPAN_ID
    made.sampled = random.random() < 0.5
    return made


def told(sight: SimpleNamespace, loop: VirtualLoop) -> list[object]:
    """A long life of everything that tells of requests."""
    random = Random(11)
    records: list[bytes] = []
    lines: list[bytes] = []
    settings = Settings(sample=0.5, headers=("x-a", "cookie"), redact=("b*",))
    log = sight.request_log.RequestLog(settings, taken(records), loop)
    spans = sight.spans.Spans(log, taken(lines), loop)
    red = sight.metrics.Red()
    seen: list[object] = []
    for _ in range(1500):
        one = facts(sight, random)
        if not one.trace_id and not one.failed():
            one.trace_id = TRACE_ID  # else chance decides what is sampled
        headers = Headers([(b"x-a", random.randbytes(9)), (b"cookie", b"sid=1")])
        seen.append(one.failed())
        log.write(one, headers)
        spans.write(one)
        red.observe(one)
    log.close()
    spans.close()
    return [*seen, b"".join(records), b"".join(lines), msgspec.json.encode(red.report())]


def test_requests_are_told_in_the_same_words(loop: VirtualLoop) -> None:
    assert told(INSTALLED, loop) == told(SOURCE, loop)


def test_traces_are_the_same() -> None:
    random = Random(3)
    parents = [f"00-{TRACE_ID}-{SPAN_ID}-0{flag}".encode() for flag in range(4)]
    parents += [b"", b"00", *(bytes(random.choices(parents[1], k=55)) for _ in range(50))]
    for parent in parents:
        headers = Headers([(b"traceparent", parent), (b"tracestate", b"a=1")])
        shown = []
        for sight in (INSTALLED, SOURCE):
            ids = sight.trace.Ids(lambda count: bytes(count))
            trace = sight.trace.begin(headers, Trace(sample=0.5), ids)
            shown.append(
                (trace.trace_id, trace.parent_id, trace.span_id, trace.sampled, trace.lines)
            )
        assert shown[0] == shown[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_sources_are_interpreted(name: str) -> None:
    assert str(getattr(SOURCE, name).__file__).endswith(".py")
