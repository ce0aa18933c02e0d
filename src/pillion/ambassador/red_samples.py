"""A worker's metrics as the samples that `/metrics` shows."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from pillion.ambassador.red_report import BOUNDS_S, CLASSES
from pillion.ambassador.wire import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pillion.ambassador.red_report import RedReport, SeriesReport

# By Prometheus' custom a bound is written as short as it can be.
_LE = (*(f"{bound:g}" for bound in BOUNDS_S), "+Inf")


def samples(report: RedReport) -> Iterator[Sample]:
    """Yield what `/metrics` shows of a worker, all samples of a name together."""
    series = [(_labels(one), one) for one in report.series]
    for labels, one in series:
        for name, count in zip(CLASSES, one.classes, strict=False):
            if count:
                yield Sample("ambassador_requests_total", {**labels, "class": name}, count)
    for labels, one in series:
        yield from _histogram("ambassador_request_duration_seconds", labels, one.total, one.total_s)
    for labels, one in series:
        yield from _histogram("ambassador_first_byte_seconds", labels, one.first, one.first_s)
    for labels, one in series:
        yield Sample("ambassador_received_bytes_total", labels, one.bytes_in)
    for labels, one in series:
        yield Sample("ambassador_sent_bytes_total", labels, one.bytes_out)
    for labels, one in series:
        yield Sample("ambassador_retries_total", labels, one.retries)
    for labels, one in series:
        rejected = one.reasons.get("circuit-open", 0)
        yield Sample("ambassador_breaker_rejections_total", labels, rejected)
    for labels, one in series:
        for reason, count in one.reasons.items():
            yield Sample("ambassador_own_answers_total", {**labels, "reason": reason}, count)
    yield Sample("ambassador_series_overflow_total", {}, report.overflow)


def _labels(one: SeriesReport) -> dict[str, str]:
    return {"direction": one.direction, "route": one.route, "upstream": one.upstream}


def _histogram(
    name: str, labels: dict[str, str], buckets: list[int], sum_s: float
) -> Iterator[Sample]:
    count = 0
    for bound, count in zip(_LE, accumulate(buckets), strict=False):
        yield Sample(f"{name}_bucket", {**labels, "le": bound}, count)
    yield Sample(f"{name}_sum", labels, sum_s)
    yield Sample(f"{name}_count", labels, count)
