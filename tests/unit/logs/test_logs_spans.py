"""A span's line as OpenTelemetry has it: kind, error and names by the semantic conventions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pillion.logs.lines import Line
from pillion.logs.otlp_traces import JsonSpans, ProtobufSpans, TraceSink
from pillion.logs.recognise import Recogniser
from pillion.logs.spans import CLIENT, SERVER, Span, read_span

if TYPE_CHECKING:
    from pillion.logs.otlp import Answer

LINE = {
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "span_id": "b7ad6b7169203331",
    "parent_id": "",
    "start_ns": 1_795_360_526_000_000_000,
    "end_ns": 1_795_360_526_002_000_000,
    "direction": "outbound",
    "method": "GET",
    "host": "orders:3001",
    "path": "/orders/1",
    "status": 200,
    "attempts": 1,
}


def read(**changed: Any) -> Span:
    span = read_span(json.dumps({**LINE, **changed}).encode())
    assert span is not None
    return span


async def _never(_body: bytes, _headers: object) -> Answer:
    raise AssertionError


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({}, ""),
        ({"status": 404}, "404"),
        ({"status": 404, "direction": "inbound"}, ""),
        ({"status": 500, "direction": "inbound"}, "500"),
        ({"status": 503, "reason": "circuit-open"}, "circuit-open"),
        ({"status": 429, "reason": "rate-limited", "direction": "inbound"}, ""),
        ({"status": 0, "reason": "connect-failed"}, "connect-failed"),
        ({"status": 0}, "no-answer"),
        ({"note": "truncated", "reason": "idle-timeout"}, "idle-timeout"),
        ({"status": 301, "reason": "redirect"}, ""),
    ],
)
def test_an_error_is_what_the_conventions_call_one(changed: dict[str, Any], error: str) -> None:
    span = read(**changed)
    assert span.failed == (error != "")
    assert span.attributes.get("error.type", "") == error


def test_kinds_follow_the_direction() -> None:
    assert read().kind == CLIENT
    assert read(direction="inbound").kind == SERVER


def test_an_unknown_method_names_no_span() -> None:
    span = read(method="BREW")
    assert span.name == "HTTP"
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "BREW"


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        ("orders", "orders", None),
        ("orders:80", "orders", 80),
        ("[::1]:8080", "::1", 8080),
        ("[::1]", "::1", None),
        ("::1", "::1", None),
        ("a:b", "a:b", None),
        ("", "", None),
    ],
)
def test_host_and_port_are_told_apart(host: str, address: str, port: int | None) -> None:
    attributes = read(host=host).attributes
    assert (attributes["server.address"], attributes.get("server.port")) == (address, port)


def test_a_unix_socket_is_an_address() -> None:
    attributes = read(endpoint="unix:/run/orders.sock").attributes
    assert attributes["network.peer.address"] == "unix:/run/orders.sock"
    assert "network.peer.port" not in attributes


@pytest.mark.parametrize(
    "changed",
    [
        {"trace_id": "zz"},
        {"trace_id": "0af7"},
        {"span_id": ""},
        {"parent_id": "0af7"},
        {"parent_id": 5},
        {"start_ns": 0},
        {"start_ns": -1},
        {"end_ns": 1},
        {"end_ns": 2**63},
        {"status": "200"},
        {"attempts": 1e400},
    ],
)
def test_what_is_no_span_is_none(changed: dict[str, Any]) -> None:
    assert read_span(json.dumps({**LINE, **changed}).encode()) is None


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"\xff", b'{"trace_id": "\xff"}'])
def test_garbage_is_no_span(data: bytes) -> None:
    assert read_span(data) is None


@pytest.mark.parametrize("kind", [ProtobufSpans, JsonSpans])
def test_encoders_keep_their_bounds_and_count_what_is_none(
    kind: type[ProtobufSpans | JsonSpans],
) -> None:
    sink = TraceSink(_never)
    spans = kind(sink, {"pillion.run": "r"})
    data = json.dumps(LINE).encode()
    items = [
        Line(0, 5, 1, b"none", False),
        Line(5, 10, 1, data[:20], True),
        *(Line(10 + n, 11 + n, 1, data, False) for n in range(5)),
    ]
    assert spans.fill(items, 0, Recogniser(), 1 << 20, 3) == 5
    assert (spans.count, sink.unreadable) == (3, 2)
    assert spans.fill(items, 5, Recogniser(), 1, 9) == 5
    size = spans.size
    assert abs(len(spans.take()) - size) <= 3
    assert spans.size == spans.count == 0
