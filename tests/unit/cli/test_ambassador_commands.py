"""What `requests`, `routes` and `breakers` show: whole lines from whole answers, and nothing that steers a terminal."""

from __future__ import annotations

import argparse
import json

import pytest

from pillion.ambassador.overview import (
    BreakerList,
    BreakerView,
    EndpointView,
    RouteList,
    RouteView,
    UpstreamList,
    UpstreamView,
    WorkerView,
)
from pillion.cli import breakers, requests, routes
from pillion.errors import UsageError
from pillion.logs.records import Record

RECORD = {
    "time": "2026-01-31T12:00:00.250000Z",
    "direction": "outbound",
    "listener": "orders",
    "route": "canary",
    "upstream": "orders",
    "endpoint": "10.0.0.1:80",
    "method": "GET",
    "host": "orders",
    "path": "/v2/list",
    "query": "a=1",
    "version": "1.1",
    "status": 503,
    "reason": "circuit-open",
    "attempts": 2,
    "total_ms": 12.5,
    "a field of a later version": [1],
}
WORKER = WorkerView(name="ambassador", pid=1, revision=3, behind=False)
BEHIND = WorkerView(name="ambassador-2", pid=2, revision=2, behind=True, refusal="cannot\x1b[2J")


def record(**changes: object) -> Record:
    text = json.dumps({**RECORD, **changes})
    return Record("r", "requests", 0, 0, text, text)


def wanted(*words: str) -> requests.Wanted:
    parser = argparse.ArgumentParser()
    requests.add_arguments(parser)
    return requests.wanted_requests(parser.parse_args(words))


def line(one: Record) -> str:
    return requests.Output(json=False, colour=False, terminal=False).line(one)


@pytest.mark.parametrize(
    ("words", "fits"),
    [
        ((), True),
        (("--status", "503"), True),
        (("--status", "5xx"), True),
        (("--status", "4xx,503"), True),
        (("--status", "50"), None),
        (("--status", "all"), None),
        (("--status", "2XX"), False),
        (("--route", "canary"), True),
        (("--route", "can"), False),
        (("--upstream", "orders", "--endpoint", "10.0.0.1:80"), True),
        (("--method", "get", "--path", "/v2/"), True),
        (("--path", "/v3/"), False),
        (("--reason", "circuit-open"), True),
        (("--direction", "inbound"), False),
        (("--slower", "12ms"), True),
        (("--slower", "13ms"), False),
        (("--slower", "slow"), None),
    ],
)
def test_which_requests_are_meant(words: tuple[str, ...], fits: bool | None) -> None:
    if fits is None:
        with pytest.raises(UsageError, match="cannot read"):
            wanted(*words)
        return
    found = requests.request_of(record().text)
    assert found is not None
    assert wanted(*words).matches(found) is fits


def test_one_that_got_no_answer_is_found_by_0xx() -> None:
    found = requests.request_of(record(status=0).text)
    assert found is not None
    assert wanted("--status", "0xx").matches(found)
    assert not wanted("--status", "5xx").matches(found)


def test_a_request_in_a_line() -> None:
    assert line(record()) == (
        "2026-01-31T12:00:00.250000Z 503     12.5 ms GET orders/v2/list?a=1 "
        "-> orders 10.0.0.1:80 (2 tries) circuit-open"
    )
    assert line(record(status=0, attempts=1, note="client-left")).split()[1] == "---"
    tcp = line(record(version="tcp", status=0, reason=""))
    assert " tcp " in tcp
    assert "TCP orders" in tcp


def test_what_somebody_else_wrote_steers_no_terminal() -> None:
    shown = line(record(path="/\x1b[2J", host="a\x07", reason="\x9b", note="\x1b"))
    assert shown.isprintable()


def test_what_is_no_record_and_what_was_lost_are_told_apart() -> None:
    assert requests.request_of("{torn") is None
    assert line(Record("r", "requests", 0, 0, "{torn", "")) == "-- {torn --"
    assert line(Record("r", "requests", 0, 0, "5 bytes lost", "", lost=5)) == "-- 5 bytes lost --"


def test_routes_and_upstreams() -> None:
    found = routes.Routing(
        routes=RouteList(
            revision=3,
            workers=[WORKER, BEHIND],
            items=[
                RouteView(
                    name="canary",
                    listener=["orders"],
                    route={
                        "match": {"path": "/v2/", "headers": {"x-a": "1"}},
                        "to": [{"upstream": "orders", "weight": 90}, {"upstream": "next"}],
                    },
                    requests=10,
                    failures=1,
                ),
                RouteView(name="#2", listener=[], route={"redirect": {"to": "/"}}),
            ],
        ),
        upstreams=UpstreamList(
            revision=3,
            workers=[WORKER, BEHIND],
            items=[
                UpstreamView(
                    name="orders",
                    source="service:orders",
                    protocol="http",
                    listen="127.0.0.1:5001",
                    balance="random",
                    known=False,
                    reason="the registry has not been read yet",
                    endpoints=[
                        EndpointView(
                            endpoint="10.0.0.1:80",
                            id="a",
                            healthy=False,
                            reason="refused",
                            weight=3,
                            zone="west",
                            state="open",
                            forced=True,
                        )
                    ],
                )
            ],
        ),
    )
    text = "\n".join(routes.lines_of(found, colour=False))
    assert "canary  orders  path=/v2/ headers=x-a=1  orders:90 next" in text
    assert "#2      proxy" in text
    assert "orders on 127.0.0.1:5001: http, random, service:orders (not known yet)" in text
    assert "unhealthy  open by hand" in text
    assert "refused, weight 3, zone west" in text
    assert "ambassador-2 (pid 2) is behind, at revision 2" in text
    assert "\x1b" not in text


def test_without_an_ambassador_it_says_what_to_do() -> None:
    nothing = routes.Routing(
        routes=RouteList(revision=0, workers=[], items=[]),
        upstreams=UpstreamList(revision=0, workers=[], items=[]),
    )
    assert "set an upstream" in routes.lines_of(nothing, colour=False)[0]


def test_breakers() -> None:
    found = BreakerList(
        revision=3,
        workers=[WORKER],
        items=[
            BreakerView(
                upstream="orders",
                endpoint="10.0.0.1:80",
                state="open",
                forced=False,
                reason="5 failures in a row",
                retry_after_s=7.6,
                workers={"ambassador": "open", "ambassador-2": "closed"},
            )
        ],
    )
    (_, row) = breakers.lines_of(found, colour=False)
    assert row.split() == [
        "orders", "10.0.0.1:80", "open", "8s", "ambassador:open", "ambassador-2:closed", "5",
        "failures", "in", "a", "row",
    ]  # fmt: skip
    empty = BreakerList(revision=0, workers=[], items=[])
    assert breakers.lines_of(empty, colour=False)[-1] == "no worker is connected"
