"""W3C Trace Context, level 1: what is continued, what begins anew, and what the upstream is told."""

from __future__ import annotations

import re

import pytest

from pillion.ambassador.trace import Ids, begin, is_traceparent, is_tracestate
from pillion.http.codec.events import Headers
from pillion.settings.ambassador import Trace as Settings

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01".encode()
LINE = re.compile(rb"traceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])\r\n")


def headers(traceparent: bytes | None, *tracestates: bytes) -> Headers:
    items = [] if traceparent is None else [(b"traceparent", traceparent)]
    return Headers([*items, *((b"tracestate", one) for one in tracestates)])


def test_a_trace_is_continued_with_a_span_of_our_own() -> None:
    trace = begin(headers(PARENT), Settings())
    assert (trace.trace_id, trace.parent_id, trace.sampled) == (TRACE, SPAN, True)
    assert re.fullmatch("[0-9a-f]{16}", trace.span_id)
    assert trace.span_id != SPAN
    assert trace.lines == f"traceparent: 00-{TRACE}-{trace.span_id}-01\r\n".encode()


def test_a_trace_is_begun_where_none_comes_in() -> None:
    trace = begin(headers(None), Settings())
    found = LINE.fullmatch(trace.lines)
    assert found is not None
    assert (found[1].decode(), found[2].decode(), found[3]) == (
        trace.trace_id,
        trace.span_id,
        b"00",
    )
    assert (trace.parent_id, trace.sampled) == ("", False)
    assert begin(headers(None), Settings()).trace_id != trace.trace_id


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"00",
        PARENT[:-1],
        PARENT + b"0",
        PARENT + b"-extra",  # version 00 has nothing behind its flags
        PARENT.upper(),
        b"ff-" + PARENT[3:],
        b"0x-" + PARENT[3:],
        b"00-" + b"0" * 32 + b"-" + SPAN.encode() + b"-01",
        b"00-" + TRACE.encode() + b"-" + b"0" * 16 + b"-01",
        PARENT.replace(b"-", b"_"),
        PARENT[:-2] + b"0g",
        b"01-" + PARENT[3:] + b"x",
        b"cc-" + PARENT[3:-3] + b"_01",
        PARENT + b", " + PARENT,  # two of them: neither is believed
        b"\xff" * 55,
        b"-" * 55,
    ],
)
def test_what_cannot_be_read_begins_a_new_trace_without_its_state(value: bytes) -> None:
    assert not is_traceparent(value)
    trace = begin(headers(value, b"vendor=1"), Settings())
    assert LINE.fullmatch(trace.lines)
    assert trace.trace_id != TRACE
    assert trace.parent_id == ""


@pytest.mark.parametrize("value", [b"01-" + PARENT[3:], b"cc-" + PARENT[3:] + b"-what-comes"])
def test_a_later_version_is_read_as_far_as_it_is_known(value: bytes) -> None:
    trace = begin(headers(value), Settings())
    assert (trace.trace_id, trace.parent_id, trace.sampled) == (TRACE, SPAN, True)
    assert trace.lines.startswith(b"traceparent: 00-")


@pytest.mark.parametrize(
    ("flags", "sampled"), [(b"00", False), (b"01", True), (b"02", False), (b"ff", True)]
)
def test_the_sampled_flag_is_followed_and_others_are_not_passed_on(
    flags: bytes, sampled: bool
) -> None:
    for share in (0.0, 1.0):
        trace = begin(headers(PARENT[:-2] + flags), Settings(sample=share))
        assert trace.sampled == sampled
        assert trace.lines.endswith(b"-01\r\n" if sampled else b"-00\r\n")


def test_new_traces_are_sampled_by_share() -> None:
    assert begin(headers(None), Settings(sample=1.0)).sampled
    assert begin(headers(None), Settings(sample=1.0)).lines.endswith(b"-01\r\n")
    ids = Ids(lambda count: bytes(count))
    sampled = sum(begin(headers(None), Settings(sample=0.3), ids).sampled for _ in range(1000))
    assert 230 < sampled < 370


def test_a_tracestate_is_passed_on_as_it_came() -> None:
    trace = begin(headers(PARENT, b"rojo=00f067aa0ba902b7", b"congo=t61rcWkgMzE"), Settings())
    assert trace.lines.endswith(b"\r\ntracestate: rojo=00f067aa0ba902b7, congo=t61rcWkgMzE\r\n")


def test_a_tracestate_alone_is_dropped() -> None:
    assert b"tracestate" not in begin(headers(None, b"rojo=1"), Settings()).lines


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b"a=1", True),
        (b"a=1,,b=2", True),
        (b",".join(b"k%d=v" % number for number in range(32)), True),
        (b",".join(b"k%d=v" % number for number in range(33)), False),
        (b"", False),
        (b" , ", False),
        (b"no-value", False),
        (b"a=" + b"x" * 256, True),
        (b"a=" + b"x" * 5000, False),
    ],
)
def test_a_tracestate_has_limits(value: bytes, kept: bool) -> None:
    assert is_tracestate(value) == kept
    lines = begin(headers(PARENT, value), Settings()).lines
    assert (b"tracestate: " in lines) == kept
    assert lines.startswith(b"traceparent: ")


def test_switched_off_nothing_is_written_and_the_log_still_knows() -> None:
    trace = begin(headers(PARENT), Settings(enabled=False))
    assert (trace.trace_id, trace.lines, trace.span_id) == (TRACE, b"", "")
    trace = begin(headers(None), Settings(enabled=False, sample=1.0))
    assert (trace.trace_id, trace.lines, trace.sampled) == ("", b"", False)


def test_ids_come_from_the_system_s_entropy_again_and_again() -> None:
    asked: list[int] = []

    def entropy(count: int) -> bytes:
        asked.append(count)
        return len(asked).to_bytes(count, "big")

    ids = Ids(entropy)
    found = {ids.digits(16) for _ in range(200_000)}
    assert len(found) == 200_000
    assert len(asked) == 2
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in found)


def test_no_id_is_zero() -> None:
    ids = Ids()
    assert "0" not in {ids.digits(1) for _ in range(5000)}
