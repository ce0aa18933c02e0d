"""What a worker tells of itself: to the agent how its upstreams are, to the keeper what it counts."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from .wire import EndpointReport, UpstreamReport, encode_part, encode_report, written_endpoints

if TYPE_CHECKING:
    from collections.abc import Generator

    from pillion.base.tasks import RootTasks
    from pillion.model.stats import Stats

    from .doors import Doors
    from .endpoint import Endpoint
    from .hub import Hub
    from .live import LiveUpstream
    from .pool import Pool
    from .runtime import Runtime
    from .spans import Spans

# A few microseconds each: well below what a request may wait for.
_IN_A_ROW = 64


def report(hub: Hub, runtime: Runtime) -> Generator[None, None, bytes]:
    """How things stand, for the agent: the message as it is sent, written with a turn for others after every few endpoints.

    Raises `WireError` when it is longer than a message may be.
    """
    now = monotonic()
    revision = runtime.revision
    upstreams: list[bytes] = []
    written = _Paced()
    for _, one in sorted(runtime.upstreams.live.items()):
        endpoints: list[bytes] = []
        active = failures = 0
        for endpoint in one.group.endpoints:
            endpoints.append(encode_part(_endpoint(runtime, one, endpoint, now)))
            active += endpoint.active
            failures += endpoint.failures
            if written.enough():
                yield
        upstreams.append(encode_part(_upstream(one, endpoints, active, failures)))
        if written.enough():
            yield
    red = hub.red.report()
    series: list[bytes] = []
    for counts in red.series:
        series.append(encode_part(counts))
        if written.enough():
            yield
    return encode_report(revision, upstreams, series, red.overflow)


class _Paced:
    """Says after every few parts that it is somebody else's turn."""

    def __init__(self) -> None:
        self._parts = 0

    def enough(self) -> bool:
        self._parts += 1
        return self._parts % _IN_A_ROW == 0


def _endpoint(
    runtime: Runtime, one: LiveUpstream, endpoint: Endpoint, now: float
) -> EndpointReport:
    return EndpointReport(
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


def _upstream(
    one: LiveUpstream, endpoints: list[bytes], active: int, failures: int
) -> UpstreamReport:
    gate = one.lasting.gate
    return UpstreamReport(
        one.name,
        endpoints=written_endpoints(endpoints),
        active=active,
        waiting=one.lasting.waiting + (0 if gate is None else gate.waiting),
        requests=one.lasting.requests,
        failures=failures,
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
