"""What the agent counts about itself, for heartbeats and `/metrics` (names: `pillion.model.stats`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pillion.base.control import Control
    from pillion.base.tasks import RootTasks
    from pillion.http.server import Server
    from pillion.model.stats import Stats


def own_stats(server: Server, tasks: RootTasks) -> Stats:
    """The counts of the HTTP server and the tasks."""
    http = server.counters
    return {
        "http_connections": http.open,
        "http_connections_busy": http.busy,
        "http_connections_accepted_total": http.accepted,
        "http_connections_adopted_total": http.adopted,
        "http_accept_errors_total": http.accept_errors,
        "http_requests_total": http.requests,
        "http_responses_total": {"class": {key: float(n) for key, n in http.responses.items()}},
        "http_rejected_total": http.rejected,
        "http_timeouts_total": http.timeouts,
        "http_failures_total": http.failures,
        "http_truncated_total": http.truncated,
        "http_received_bytes_total": http.bytes_in,
        "http_sent_bytes_total": http.bytes_out,
        "tasks": len(tasks),
        "tasks_ended_unexpectedly_total": tasks.unexpected_ends,
    }


def control_stats(control: Control) -> Stats:
    """What heartbeats add by themselves, for who asks the agent directly."""
    return {
        "loop_lag_seconds": control.lag.last_s,
        "loop_lag_worst_seconds": control.lag.worst_s,
        "control_dropped_total": control.counters.dropped,
    }
