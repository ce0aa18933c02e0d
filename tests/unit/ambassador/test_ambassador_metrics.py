"""Rate, errors and durations: counted once, within a bound of series, and shown as histograms."""

from __future__ import annotations

import msgspec

from ambassador_facts import some_facts
from pillion.ambassador.facts import INBOUND
from pillion.ambassador.metrics import MOST_SERIES, Red
from pillion.ambassador.red_report import OTHER, RedReport
from pillion.ambassador.red_samples import samples

OUT = {"direction": "outbound", "route": "#1", "upstream": "orders"}


def shown(red: Red) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The samples of a report that went over the wire."""
    report = msgspec.json.decode(msgspec.json.encode(red.report()), type=RedReport)
    found = [(one.name, tuple(sorted(one.labels.items())), one.value) for one in samples(report)]
    assert len({(name, labels) for name, labels, _ in found}) == len(found)
    return {(name, labels): value for name, labels, value in found}


def of(red: Red, name: str, labels: dict[str, str] | None = None, **more: str) -> float | None:
    key = (f"ambassador_{name}", tuple(sorted({**(labels or {}), **more}.items())))
    return shown(red).get(key)


def test_requests_are_counted_by_class() -> None:
    red = Red()
    for status in (200, 204, 404, 503, 101):
        red.observe(some_facts(status=status))
    red.observe(some_facts(status=0, reason="client-left"))
    counted = [
        of(red, "requests_total", OUT, **{"class": name})
        for name in ("1xx", "2xx", "3xx", "4xx", "5xx", "none", "tcp")
    ]
    assert counted == [1, 2, None, 1, 1, 1, None]


def test_connections_of_raw_tcp_have_a_class_of_their_own() -> None:
    red = Red()
    red.observe(some_facts(status=0, version="tcp"))
    red.observe(some_facts(status=0, version="tcp", reason="connect-failed"))
    assert of(red, "requests_total", OUT, **{"class": "tcp"}) == 1
    assert of(red, "requests_total", OUT, **{"class": "none"}) == 1


def test_durations_are_cumulative_histograms() -> None:
    red = Red()
    for total_s in (0.0001, 0.0005, 0.0006, 0.3, 100.0):
        red.observe(some_facts(total_s=total_s, first_s=-1.0))
    name = "request_duration_seconds"
    buckets = {
        le: of(red, f"{name}_bucket", OUT, le=le)
        for le in ("0.0005", "0.001", "0.25", "0.5", "30", "+Inf")
    }
    assert buckets == {"0.0005": 2, "0.001": 3, "0.25": 3, "0.5": 4, "30": 4, "+Inf": 5}
    assert of(red, f"{name}_count", OUT) == 5
    total = of(red, f"{name}_sum", OUT)
    assert total is not None
    assert abs(total - 100.3012) < 1e-9
    assert of(red, "first_byte_seconds_count", OUT) == 0


def test_bytes_retries_and_reasons_are_counted() -> None:
    red = Red()
    red.observe(some_facts(bytes_in=10, bytes_out=20, attempts=3))
    red.observe(some_facts(bytes_in=1, bytes_out=2, status=503, reason="circuit-open", attempts=0))
    red.observe(some_facts(status=429, reason="rate-limited", bytes_out=0, attempts=0))
    assert of(red, "received_bytes_total", OUT) == 11
    assert of(red, "sent_bytes_total", OUT) == 22
    assert of(red, "retries_total", OUT) == 2
    assert of(red, "breaker_rejections_total", OUT) == 1
    assert of(red, "own_answers_total", OUT, reason="rate-limited") == 1


def test_directions_routes_and_upstreams_are_series_of_their_own() -> None:
    red = Red()
    red.observe(some_facts())
    red.observe(some_facts(INBOUND, upstream="app"))
    red.observe(some_facts(upstream="orders-next"))
    assert len(red.report().series) == 3


def test_series_are_bounded_and_the_rest_is_counted_together() -> None:
    red = Red()
    for number in range(1000):
        red.observe(some_facts(route=f"r{number}"))
        red.observe(some_facts(INBOUND, route=f"r{number}"))
    report = red.report()
    assert len(report.series) == MOST_SERIES
    assert report.overflow == 2000 - (MOST_SERIES - 2)
    others = [one for one in report.series if one.route == OTHER]
    assert {one.direction for one in others} == {"outbound", "inbound"}
    assert sum(sum(one.classes) for one in others) == report.overflow
    assert sum(sum(one.classes) for one in report.series) == 2000


def test_reasons_are_bounded() -> None:
    red = Red()
    for number in range(500):
        red.observe(some_facts(reason=f"reason-{number}"))
    (series,) = red.report().series
    assert len(series.reasons) <= 50
    assert sum(series.reasons.values()) == 500
    assert series.reasons[OTHER] > 400


def test_changes_are_known_until_they_are_told() -> None:
    red = Red()
    red.observe(some_facts())
    before, _ = red.changed, shown(red)
    assert (before, red.changed) == (True, False)


def test_a_name_that_is_no_text_spoils_nothing() -> None:
    red = Red()
    red.observe(some_facts(upstream="half \udcff"))
    red.observe(some_facts(upstream="half \udcff"))
    assert of(red, "retries_total", {**OUT, "upstream": "half \\udcff"}) == 0
    assert sum(shown(red).values()) > 0


def test_what_there_is_no_more_makes_room() -> None:
    red = Red()
    for at in range(MOST_SERIES + 50):
        red.observe(some_facts(upstream=f"u{at}", route=""))
    assert red.overflow
    red.keep({"", OTHER}, {"", OTHER, "u1", "new"})
    before = red.overflow
    assert {one.upstream for one in red.report().series} == {"u1", OTHER}
    red.observe(some_facts(upstream="new", route=""))
    assert red.overflow == before
    assert {one.upstream for one in red.report().series} >= {"u1", "new"}
