"""What the shipper counts, as its heartbeat tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.logs.otlp_traces import TraceSink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pillion.base.tasks import RootTasks
    from pillion.logs.shipping import Shipping
    from pillion.model.stats import Stats


def shipping_stats(shippings: Sequence[Shipping], tasks: RootTasks) -> Stats:
    """Return what is shipped, lost and still to be shipped. The lag of a stream is that of the slowest sink."""
    counted: dict[str, Callable[[Shipping], float]] = {
        "log_lines_total": lambda one: one.lines,
        "log_records_total": lambda one: one.delivery.counters.records,
        "log_bytes_total": lambda one: one.delivery.counters.bytes,
        "log_batches_total": lambda one: one.delivery.counters.batches,
        "log_retries_total": lambda one: one.delivery.counters.retries,
        "log_dropped_records_total": lambda one: one.delivery.counters.dropped_records,
        "log_rejected_records_total": lambda one: one.delivery.counters.rejected_records,
        "log_batches_under_way": lambda one: one.delivery.under_way,
        "log_stalled": lambda one: float(one.delivery.stalled),
        "log_position_writes_total": lambda one: one.positions.writes,
        "log_position_failures_total": lambda one: one.positions.failures,
        "log_read_errors_total": lambda one: one.read_errors,
    }
    stats: Stats = {"tasks": len(tasks)}
    for name, count in counted.items():
        if shippings:
            stats[name] = {"sink": {one.sink.name: count(one) for one in shippings}}
    unreadable = [one.sink.unreadable for one in shippings if isinstance(one.sink, TraceSink)]
    if unreadable:
        stats["spans_unreadable_total"] = sum(unreadable)
    lost: dict[str, float] = {}
    lag: dict[str, float] = {}
    for one in shippings:
        for stream, count_bytes in one.lost_bytes.items():
            lost[stream] = max(lost.get(stream, 0), count_bytes)
        for stream, lag_bytes in one.lag_bytes.items():
            lag[stream] = max(lag.get(stream, 0), lag_bytes)
    if lost:
        stats["log_lost_bytes_total"] = {"stream": lost}
    if lag:
        stats["log_lag_bytes"] = {"stream": lag}
    return stats
