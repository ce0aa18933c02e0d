"""What a worker tells of itself: to the agent how its upstreams are, to the keeper what it counts."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from .wire import EndpointReport, Report, UpstreamReport

if TYPE_CHECKING:
    from pillion.base.tasks import RootTasks
    from pillion.model.stats import Stats

    from .doors import Doors
    from .hub import Hub
    from .live import LiveUpstream
    from .pool import Pool
    from .runtime import Runtime
    from .spans import Spans


def report(hub: Hub, runtime: Runtime) -> Report:
    """How things stand, for the agent."""
    now = monotonic()
    return Report(
        runtime.revision,
        upstreams=tuple(
            _upstream(runtime, one, now) for _, one in sorted(runtime.upstreams.live.items())
        ),
        red=hub.red.report(),
    )


def _upstream(runtime: Runtime, one: LiveUpstream, now: float) -> UpstreamReport:
    gate = one.lasting.gate
    endpoints = tuple(
        EndpointReport(
            endpoint.key,
            endpoint.breaker.state,
            forced=endpoint.breaker.forced,
            reason=runtime.why(one.name, endpoint.key),
            retry_after_s=endpoint.breaker.retry_after(now),
            active=endpoint.active,
            requests=endpoint.requests,
            failures=endpoint.failures,
            connections=_opened(endpoint.pool),
        )
        for endpoint in one.group.endpoints
    )
    return UpstreamReport(
        one.name,
        endpoints=endpoints,
        active=sum(endpoint.active for endpoint in endpoints),
        waiting=one.lasting.waiting + (0 if gate is None else gate.waiting),
        requests=one.lasting.requests,
        failures=sum(endpoint.failures for endpoint in endpoints),
        retries=one.lasting.retries,
        refused=one.lasting.rejected + (0 if gate is None else gate.refused),
    )


def _opened(pool: Pool | None) -> int:
    return 0 if pool is None else pool.opened


def worker_stats(hub: Hub, doors: Doors, spans: Spans, tasks: RootTasks) -> Stats:
    """What the worker counts, for its heartbeats."""
    counters = doors.counters
    log = hub.log
    return {
        "ambassador_requests_begun_total": hub.requests,
        "ambassador_requests_active": hub.active,
        "ambassador_connections": len(hub),
        "ambassador_tunnels": len(hub.tunnels),
        "ambassador_upstream_connections": hub.outward_open,
        "ambassador_accepted_total": counters.accepted,
        "ambassador_accept_errors_total": counters.accept_errors,
        "ambassador_full_total": counters.full,
        "ambassador_handshakes": counters.opening,
        "ambassador_handshake_errors_total": counters.handshake_errors,
        "ambassador_handshake_timeouts_total": counters.handshake_timeouts,
        "ambassador_names_refused_total": counters.names_refused,
        "ambassador_proxy_refused_total": counters.proxy_refused,
        "ambassador_timeouts_total": hub.timeouts,
        "ambassador_log_lines_total": log.outlet.lines,
        "ambassador_log_dropped_total": log.outlet.dropped,
        "ambassador_spans_dropped_total": spans.outlet.dropped,
        "tasks_unexpected_ends_total": tasks.unexpected_ends,
    }
