"""What the agent counts about itself, for heartbeats and `/metrics` (names: `pillion.model.stats`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pillion.base.control import Control
    from pillion.base.tasks import RootTasks
    from pillion.http.server import Server
    from pillion.model.stats import Stats

_COUNTS = {
    "http_connections": "open",
    "http_connections_busy": "busy",
    "http_connections_accepted_total": "accepted",
    "http_connections_adopted_total": "adopted",
    "http_accept_errors_total": "accept_errors",
    "http_requests_total": "requests",
    "http_rejected_total": "rejected",
    "http_timeouts_total": "timeouts",
    "http_failures_total": "failures",
    "http_truncated_total": "truncated",
    "http_received_bytes_total": "bytes_in",
    "http_sent_bytes_total": "bytes_out",
}


def server_stats(server: Server | None) -> Stats:
    """The counts of the HTTP server; zeros while there is none yet."""
    counters = None if server is None else server.counters
    stats: Stats = {name: getattr(counters, held, 0) for name, held in _COUNTS.items()}
    responses = {} if counters is None else counters.responses
    stats["http_responses_total"] = {"class": {key: float(n) for key, n in responses.items()}}
    return stats


def task_stats(tasks: RootTasks) -> Stats:
    """The counts of the tasks."""
    return {"tasks": len(tasks), "tasks_ended_unexpectedly_total": tasks.unexpected_ends}


def control_stats(control: Control) -> Stats:
    """What heartbeats add by themselves, for who asks the agent directly."""
    return {
        "loop_lag_seconds": control.lag.last_s,
        "loop_lag_worst_seconds": control.lag.worst_s,
        "control_dropped_total": control.counters.dropped,
    }
