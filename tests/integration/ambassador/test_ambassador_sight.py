"""Requests and spans from the spool to a real OTLP receiver, as the ambassador writes them."""

from __future__ import annotations

import asyncio
import http.client
import socketserver
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Self

import pytest

from ambassador_facts import (
    PARENT_ID,
    SPAN_ID,
    START_NS,
    TRACE_ID,
    request_line,
    some_facts,
    span_line,
)
from ambassador_instance import Ambassador
from logs_spooling import Spool
from otlp_receiver import Receiver
from pillion.ambassador.facts import INBOUND
from pillion.settings.ambassador import RequestLog
from shipper_process import RUN, ShipperProcess, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENCODINGS = ["", 'protocol = "http/json"', 'compression = "none"']
EARLIER = "20261121T151526-bbbb"


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with Receiver(str(tmp_path / "received.ndjson")) as running:
        yield running


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def settings(receiver: Receiver, more: str = "", *, logs: str = "", records: int = 8192) -> str:
    return f"""
[telemetry]
otlp = "{receiver.url}"
batch = {{ wait = "50ms", records = {records} }}
{more}
[logs]
{logs}
"""


def spans_of(count: int, loop: asyncio.AbstractEventLoop) -> list[bytes]:
    return [
        span_line(some_facts(span_id=f"{number:016x}"), RequestLog(), loop)
        for number in range(1, count + 1)
    ]


def ids(receiver: Receiver) -> list[int]:
    return [int(one["span_id"], 16) for one in receiver.spans()]


def some_since(receiver: Receiver, count: int) -> bool:
    return len(receiver.spans()) > count


def counted(shipper: ShipperProcess, name: str, number: int) -> bool:
    shipper.listen()
    return bool(shipper.stats.get(name, {"sink": {}})["sink"].get("traces") == number)


@pytest.mark.parametrize("more", ENCODINGS)
def test_requests_become_log_records_with_attributes(
    tmp_path: Path, receiver: Receiver, loop: asyncio.AbstractEventLoop, more: str
) -> None:
    good = some_facts(query="token=abc")
    bad = some_facts(status=502, reason="connect-failed", trace_id="", path='/a"b')
    with ShipperProcess(str(tmp_path), settings(receiver, more)) as shipper:
        spool = Spool(shipper.state_dir, run=RUN, stream="requests")
        spool.write(request_line(good, RequestLog(), loop) + request_line(bad, RequestLog(), loop))
        shipper.start()
        wait_for(lambda: len(receiver.records()) == 2, "both records")
        assert shipper.stop() == 0
    first, second = receiver.records()
    assert first["body"] == "GET orders.internal/orders/1 200"
    assert (first["severity"], first["level"]) == (9, "INFO")
    assert (first["stream"], first["scope"]) == ("requests", "pillion.ambassador")
    assert first["time_ns"] == START_NS // 1000 * 1000
    assert (first["trace_id"], first["span_id"]) == (TRACE_ID, SPAN_ID)
    expected = {"status": 200, "total_ms": 2.25, "upstream": "orders", "query": "token=***"}
    assert expected.items() <= first["attributes"].items()
    assert second["body"] == 'GET orders.internal/a"b 502 connect-failed'
    assert (second["severity"], second["attributes"]["reason"]) == (17, "connect-failed")


@pytest.mark.parametrize("more", ENCODINGS)
def test_spans_become_otlp_traces(
    tmp_path: Path, receiver: Receiver, loop: asyncio.AbstractEventLoop, more: str
) -> None:
    sent = some_facts(parent_id=PARENT_ID, status=503, reason="circuit-open", attempts=2)
    served = some_facts(INBOUND, host="shop.example:8080", peer="[2001:db8::1]:5000")
    with ShipperProcess(str(tmp_path), settings(receiver, more)) as shipper:
        spool = Spool(shipper.state_dir, run=RUN, stream="spans")
        spool.write(span_line(sent, RequestLog(), loop) + span_line(served, RequestLog(), loop))
        shipper.start()
        wait_for(lambda: len(receiver.spans()) == 2, "both spans")
        assert shipper.stop() == 0
        assert shipper.positions("traces") == {"spans": spool.offset}
    assert receiver.records() == []
    client, server = receiver.spans()
    assert (client["trace_id"], client["span_id"], client["parent_id"]) == (
        TRACE_ID,
        SPAN_ID,
        PARENT_ID,
    )
    assert (client["kind"], server["kind"], client["name"]) == (3, 2, "GET")
    assert (client["start_ns"], client["end_ns"]) == (START_NS, START_NS + 2_250_000)
    assert (client["status"], client["message"], server["status"]) == (2, "circuit-open", 0)
    assert (client["flags"], server["flags"]) == (0x301, 0x001)
    assert {
        "http.request.method": "GET",
        "url.path": "/orders/1",
        "url.query": "page=2",
        "server.address": "orders.internal",
        "network.peer.address": "127.0.0.1",
        "network.peer.port": 3001,
        "http.response.status_code": 503,
        "error.type": "circuit-open",
        "http.request.resend_count": 1,
        "pillion.upstream": "orders",
    }.items() <= client["attributes"].items()
    assert {
        "server.address": "shop.example",
        "server.port": 8080,
        "client.address": "2001:db8::1",
    }.items() <= server["attributes"].items()
    assert "error.type" not in server["attributes"]
    assert client["resource"]["service.name"] == "shop"
    assert (client["run"], client["scope"]) == (RUN, "pillion.ambassador")


@pytest.mark.parametrize("mode", ["503", "429", "reset"])
def test_spans_are_sent_again_until_they_are_taken(
    tmp_path: Path, receiver: Receiver, loop: asyncio.AbstractEventLoop, mode: str
) -> None:
    receiver.set(mode, times=2)
    with ShipperProcess(str(tmp_path), settings(receiver)) as shipper:
        Spool(shipper.state_dir, run=RUN, stream="spans").write(b"".join(spans_of(5, loop)))
        shipper.start()
        wait_for(lambda: len(receiver.spans()) == 5, "all spans")
        assert ids(receiver) == [1, 2, 3, 4, 5]
        assert shipper.stop() == 0


def test_a_receiver_without_traces_costs_spans_alone(
    tmp_path: Path, receiver: Receiver, loop: asyncio.AbstractEventLoop
) -> None:
    receiver.set("413", times=1)
    with ShipperProcess(str(tmp_path), settings(receiver)) as shipper:
        spool = Spool(shipper.state_dir, run=RUN, stream="spans")
        spool.write(spans_of(1, loop)[0])
        shipper.start()
        wait_for(lambda: shipper.told("output-lost"), "the loss")
        assert "the receiver answered 413" in str(shipper.events)
        wait_for(lambda: shipper.positions("traces") == {"spans": spool.offset}, "the position")
        Spool(shipper.state_dir, run=RUN, stream="stdout").write(b"a line\n")
        wait_for(lambda: [one["body"] for one in receiver.records()] == ["a line"], "the line")
        wait_for(partial(counted, shipper, "log_dropped_records_total", 1), "the count")
        assert shipper.stop() == 0


def test_what_the_receiver_rejects_is_counted(
    tmp_path: Path, receiver: Receiver, loop: asyncio.AbstractEventLoop
) -> None:
    receiver.set("partial:2", times=1)
    with ShipperProcess(str(tmp_path), settings(receiver)) as shipper:
        Spool(shipper.state_dir, run=RUN, stream="spans").write(b"".join(spans_of(3, loop)))
        shipper.start()
        wait_for(partial(counted, shipper, "log_rejected_records_total", 2), "the rejected spans")
        assert shipper.stop() == 0


def test_killed_again_and_again_no_span_is_missing(
    tmp_path: Path, receiver: Receiver, loop: asyncio.AbstractEventLoop
) -> None:
    lines = spans_of(200, loop)
    with ShipperProcess(str(tmp_path), settings(receiver, records=10)) as shipper:
        spool = Spool(shipper.state_dir, run=RUN, stream="spans")
        for number in range(4):
            shipper.start()
            for line in lines[number * 50 : number * 50 + 50]:
                spool.write(line)
            wait_for(partial(some_since, receiver, len(receiver.spans())), "some spans")
            shipper.kill()
        shipper.start()
        wait_for(lambda: set(ids(receiver)) == set(range(1, 201)), "every span")
        assert shipper.stop() == 0
        assert shipper.positions("traces") == {"spans": spool.offset}


def test_spans_of_an_earlier_run_are_shipped_and_those_of_a_short_one_flushed(
    tmp_path: Path, receiver: Receiver, loop: asyncio.AbstractEventLoop
) -> None:
    one, two = spans_of(2, loop)
    with ShipperProcess(str(tmp_path), settings(receiver)) as shipper:
        Spool(shipper.state_dir, run=EARLIER, stream="spans").write(one)
        shipper.start()
        wait_for(lambda: ids(receiver) == [1], "the earlier run's")
        assert shipper.stop() == 0
        shipper.start()
        wait_for(lambda: shipper.heard("ready"), "ready")
        Spool(shipper.state_dir, run=RUN, stream="spans").write(two)
        assert shipper.stop() == 0
        assert ids(receiver) == [1, 2]


def test_what_is_no_span_is_passed_over_and_counted(
    tmp_path: Path, receiver: Receiver, loop: asyncio.AbstractEventLoop
) -> None:
    with ShipperProcess(str(tmp_path), settings(receiver)) as shipper:
        spool = Spool(shipper.state_dir, run=RUN, stream="spans")
        spool.write(b'garbage\n{"trace_id": 5}\n\xff\n[]\n' + spans_of(1, loop)[0])
        shipper.start()

        def unreadable() -> bool:
            shipper.listen()
            return bool(shipper.stats.get("spans_unreadable_total") == 4)

        wait_for(lambda: ids(receiver) == [1], "the span")
        wait_for(unreadable, "the count")
        assert shipper.stop() == 0


def test_a_file_has_the_requests_and_not_the_spans(
    tmp_path: Path, receiver: Receiver, loop: asyncio.AbstractEventLoop
) -> None:
    path = tmp_path / "shop.log"
    with ShipperProcess(
        str(tmp_path), settings(receiver, logs=f'file = {{ path = "{path}" }}')
    ) as shipper:
        Spool(shipper.state_dir, run=RUN, stream="spans").write(spans_of(1, loop)[0])
        line = request_line(some_facts(), RequestLog(), loop)
        Spool(shipper.state_dir, run=RUN, stream="requests").write(line)
        shipper.start()
        wait_for(lambda: path.exists() and path.read_bytes().count(b"\n") == 1, "the record")
        wait_for(lambda: ids(receiver) == [1], "the span")
        assert shipper.stop() == 0
    text = path.read_text()
    assert "GET orders.internal/orders/1 200" in text
    assert text.count("\n") == 1


def test_without_spans_nothing_runs_for_them(tmp_path: Path, receiver: Receiver) -> None:
    with ShipperProcess(str(tmp_path), settings(receiver)) as shipper:
        Spool(shipper.state_dir, run=RUN).write(b"a line\n")
        shipper.start()
        wait_for(lambda: len(receiver.records()) == 1, "the line")
        assert shipper.stop() == 0
        sinks: dict[str, Any] = shipper.stats["log_records_total"]["sink"]
        assert set(sinks) == {"otlp"}
        assert shipper.positions("traces") == {}


class Upstream(socketserver.ThreadingTCPServer):
    """Answers every request with the fields that it came with."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                assert len(self.headers) == len({name.lower() for name in self.headers})
                seen.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


def test_a_request_is_seen_from_the_client_to_the_receiver(receiver: Receiver) -> None:
    more = f"""
[telemetry]
otlp = "{receiver.url}"
batch = {{ wait = "50ms" }}
"""
    with Upstream() as upstream:
        url = f"http://127.0.0.1:{upstream.server_address[1]}"
        with Ambassador(
            {"orders": f'urls = ["{url}"]'},
            more,
            head='trace = { sample = "100%" }\nlog = { headers = ["user-agent", "cookie"] }',
        ) as ambassador:
            asked = http.client.HTTPConnection("127.0.0.1", ambassador.ports["orders"], timeout=10)
            sent = {"user-agent": 'a "client"', "cookie": "sid=1"}
            asked.request("GET", "/a%22b?token=abc&page=2", headers=sent)
            assert asked.getresponse().read() == b"ok"
            traced = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-00", "tracestate": "a=1"}
            asked.request("GET", "/second", headers=traced)
            assert asked.getresponse().read() == b"ok"
            asked.close()
            first = ambassador.record(path="/a%22b")
            second = ambassador.record(path="/second")
            wait_for(lambda: bool(receiver.spans()), "the span")
            wait_for(
                lambda: sum(one["stream"] == "requests" for one in receiver.records()) == 2,
                "both records",
            )
    begun, continued = upstream.seen
    (span,) = receiver.spans()
    assert begun["traceparent"] == f"00-{first['trace_id']}-{first['span_id']}-01"
    assert (span["trace_id"], span["span_id"]) == (first["trace_id"], first["span_id"])
    assert (span["kind"], span["attributes"]["url.query"]) == (3, "token=***&page=2")
    assert first["query"] == "token=***&page=2"
    assert first["headers"] == {"user-agent": 'a "client"', "cookie": "***"}
    assert {"direction": "outbound", "upstream": "orders", "status": 200}.items() <= first.items()
    assert continued["traceparent"] == f"00-{TRACE_ID}-{second['span_id']}-00"
    assert continued["tracestate"] == "a=1"
    assert second["trace_id"] == TRACE_ID
    shipped = {one["body"]: one for one in receiver.records() if one["stream"] == "requests"}
    assert all(body.startswith("GET 127.0.0.1:") for body in shipped)
    assert {one["trace_id"] for one in shipped.values()} == {first["trace_id"], TRACE_ID}
