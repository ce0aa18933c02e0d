"""What people are shown: all workers together, the worst of their breakers, and who is behind."""

from __future__ import annotations

from pillion.ambassador.overview import breaker_list, route_list, upstream_list
from pillion.ambassador.policy import Policy
from pillion.ambassador.red_report import RedReport, SeriesReport
from pillion.ambassador.snapshot import EndpointSpec, Snapshot, UpstreamEndpoints
from pillion.ambassador.wire import (
    EndpointReport,
    Refused,
    Report,
    UpstreamReport,
)
from pillion.settings import parse

POLICY = Policy(
    parse(
        """
[ambassador.upstreams.orders]
service = "orders"
[ambassador.upstreams.api]
dns = "api.internal:443"
listen = "off"
[[ambassador.routes]]
match = "/old/"
redirect = { to = "/new/" }
listener = "orders"
[[ambassador.routes]]
name = "rest"
listener = "orders"
to = "orders"
"""
    )
)
SNAPSHOT = Snapshot(
    revision=9,
    ambassador={},
    listeners={"upstream:orders": "127.0.0.1:4001"},
    upstreams=(
        UpstreamEndpoints(
            "orders", (EndpointSpec("a", "10.0.0.1", 80), EndpointSpec("b", "10.0.0.2", 80))
        ),
        UpstreamEndpoints("api", known=False, reason="cannot resolve api.internal"),
    ),
)


class Worker:
    """One as the agent knows it."""

    def __init__(self, name: str, report: Report | None, revision: int = 9) -> None:
        self.name = name
        self.pid = 1
        self.version = "0"
        self.revision = revision
        self.refusal: Refused | None = None
        self.report = report


def series(route: str, *, ok: int, none: int = 0, bad: int = 0) -> SeriesReport:
    classes = [none, 0, ok, 0, 0, bad, 0]
    return SeriesReport("outbound", route, "orders", classes, [], 0.0, [], 0.0, 0, 0, 0, {})


def report(*endpoints: EndpointReport) -> Report:
    return Report(
        9,
        (UpstreamReport("orders", endpoints, 1, 2, 3, 4, 5, 6), UpstreamReport("gone")),
        RedReport([series("#1", ok=1), series("rest", ok=8, none=1, bad=1), series("", ok=5)]),
    )


WORKERS = [
    Worker("ambassador", report(EndpointReport("10.0.0.1:80", "closed", requests=3, active=1))),
    Worker(
        "ambassador-2",
        report(
            EndpointReport(
                "10.0.0.1:80", "open", reason="refused", retry_after_s=4.5, requests=4, failures=4
            ),
            EndpointReport("10.0.0.9:80", "open"),
        ),
    ),
    Worker("ambassador-3", None, revision=8),
]


def test_upstreams_with_sums_and_the_worst_state() -> None:
    found = upstream_list(SNAPSHOT, POLICY.upstreams, WORKERS, lambda u, k: f"{u} {k}"[:6])
    orders, api = found.items
    assert (orders.source, orders.listen, orders.protocol) == (
        "service:orders", "127.0.0.1:4001", "http",
    )  # fmt: skip
    assert (orders.active, orders.waiting, orders.requests, orders.failures) == (2, 4, 6, 8)
    first, second = orders.endpoints
    assert (first.state, first.requests, first.failures, first.active) == ("open", 7, 4, 1)
    assert (second.state, second.requests) == ("closed", 0)
    assert (api.source, api.known, api.listen) == ("dns:api.internal:443", False, None)
    assert "cannot resolve" in api.reason


def test_who_is_behind_is_named() -> None:
    WORKERS[2].refusal = Refused(9, "cannot compile")
    found = breaker_list(SNAPSHOT, WORKERS, lambda u, k: "")
    assert [(one.name, one.behind, one.refusal) for one in found.workers] == [
        ("ambassador", False, ""),
        ("ambassador-2", False, ""),
        ("ambassador-3", True, "cannot compile"),
    ]


def test_breakers_of_every_endpoint_also_of_those_that_nobody_reports() -> None:
    found = breaker_list(SNAPSHOT, WORKERS, lambda u, k: f"{u} {k}", "orders")
    first, second = found.items
    assert (first.state, first.reason, first.retry_after_s) == ("open", "refused", 4.5)
    assert first.workers == {"ambassador": "closed", "ambassador-2": "open"}
    assert (second.state, second.workers) == ("closed", {})


def test_routes_in_their_order_under_the_names_of_logs_and_metrics() -> None:
    found = route_list(SNAPSHOT, POLICY.settings.ambassador.routes, WORKERS)
    assert [(one.name, one.requests, one.failures) for one in found.items] == [
        ("#1", 2, 0),
        ("rest", 20, 4),
    ]
    assert found.items[0].listener == ["orders"]
    assert found.items[0].route["redirect"]
