"""What people are shown of the ambassador: the policy, and how it stands in all workers together, with whoever is behind by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from pillion.ambassador.red_report import CLASSES
from pillion.ambassador.snapshot import APP
from pillion.ambassador.steering import OPEN, in_force
from pillion.ambassador.wire import EndpointReport, Refused, Report, UpstreamReport
from pillion.settings.routes import RouteSpec
from pillion.settings.shapes import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pillion.ambassador.red_report import SeriesReport
    from pillion.ambassador.snapshot import EndpointSpec, Snapshot
    from pillion.settings.upstreams import Upstream

# From the least to the most that is wrong; of several workers the worst is shown.
_STATES = ("closed", "half-open", "open")
_ROUTE = Table(RouteSpec())


class Reporter(Protocol):
    """A worker as it is known to the agent."""

    name: str
    pid: int
    version: str
    revision: int
    refusal: Refused | None
    report: Report | None


class WorkerView(msgspec.Struct, frozen=True, kw_only=True):
    """A worker: by which revision of the policy it goes, and why not by the newest."""

    name: str
    pid: int
    revision: int
    behind: bool
    refusal: str = ""


class EndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint. `state` is its breaker's, the worst of all workers; counts are the sums since each worker's start."""

    endpoint: str
    id: str
    healthy: bool
    reason: str = ""
    weight: int = 1
    zone: str = ""
    state: str = "closed"
    forced: bool = False
    active: int = 0
    connections: int = 0
    requests: int = 0
    failures: int = 0


class UpstreamView(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream. `source` is `service:`, `dns:` or URLs; `known` is false while nobody can say which endpoints there are."""

    name: str
    source: str
    protocol: str
    listen: str | None
    balance: str
    known: bool
    reason: str
    endpoints: list[EndpointView]
    active: int = 0
    waiting: int = 0
    requests: int = 0
    failures: int = 0
    retries: int = 0
    refused: int = 0


class RouteView(msgspec.Struct, frozen=True, kw_only=True):
    """A route in the order in which they are tried; `route` is what the settings say of it."""

    name: str
    listener: list[str]
    route: dict[str, object]
    requests: int = 0
    failures: int = 0


class BreakerView(msgspec.Struct, frozen=True, kw_only=True):
    """The breaker of an endpoint: the worst of all workers, and each one's. `retry_after_s` is when it lets a trial through."""

    upstream: str
    endpoint: str
    state: str
    forced: bool
    reason: str
    retry_after_s: float
    workers: dict[str, str]


class UpstreamList(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /v1/ambassador/upstreams`."""

    revision: int
    workers: list[WorkerView]
    items: list[UpstreamView]


class RouteList(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /v1/ambassador/routes`."""

    revision: int
    workers: list[WorkerView]
    items: list[RouteView]


class BreakerList(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /v1/ambassador/breakers`."""

    revision: int
    workers: list[WorkerView]
    items: list[BreakerView]


def worker_views(revision: int, workers: Iterable[Reporter]) -> list[WorkerView]:
    """Every worker."""
    return [
        WorkerView(
            name=one.name,
            pid=one.pid,
            revision=one.revision,
            behind=one.revision != revision,
            refusal="" if one.refusal is None else one.refusal.reason,
        )
        for one in workers
    ]


def upstream_list(
    snapshot: Snapshot,
    upstreams: Mapping[str, Upstream],
    workers: Sequence[Reporter],
    why: Callable[[str, str], str],
) -> UpstreamList:
    """All upstreams; `why` says what an active check has against an endpoint (upstream, key)."""
    items = []
    told = _Reports(workers, snapshot)
    for found in snapshot.upstreams:
        reports = told.upstreams.get(found.name, [])
        settings = upstreams.get(found.name)
        endpoints = [
            _endpoint_view(found.name, spec, told, why(found.name, spec.key))
            for spec in found.endpoints
        ]
        items.append(
            UpstreamView(
                name=found.name,
                source=_source(settings),
                protocol="http" if settings is None else settings.protocol,
                listen=snapshot.listeners.get(
                    "inbound" if found.name == APP else f"upstream:{found.name}"
                ),
                balance="-" if settings is None else settings.balance,
                known=found.known,
                reason=found.reason,
                endpoints=endpoints,
                active=sum(one.active for one in reports),
                waiting=sum(one.waiting for one in reports),
                requests=sum(one.requests for one in reports),
                failures=sum(one.failures for one in reports),
                retries=sum(one.retries for one in reports),
                refused=sum(one.refused for one in reports),
            )
        )
    return UpstreamList(
        revision=snapshot.revision, workers=worker_views(snapshot.revision, workers), items=items
    )


def route_list(
    snapshot: Snapshot, routes: Sequence[RouteSpec], workers: Sequence[Reporter]
) -> RouteList:
    """All routes of the settings, in their order."""
    items = []
    told = _Reports(workers)
    for at, route in enumerate(routes, 1):
        name = route.name or f"#{at}"
        requests, failures = told.routes.get(name, (0, 0))
        written = _ROUTE.written(route)
        assert isinstance(written, dict)
        items.append(
            RouteView(
                name=name,
                listener=list(route.listener),
                route=written,
                requests=requests,
                failures=failures,
            )
        )
    return RouteList(
        revision=snapshot.revision, workers=worker_views(snapshot.revision, workers), items=items
    )


def breaker_list(
    snapshot: Snapshot,
    workers: Sequence[Reporter],
    why: Callable[[str, str], str],
    upstream: str | None = None,
) -> BreakerList:
    """The breakers of every endpoint, or of one upstream's; `why` says why a circuit is open (upstream, key)."""
    told = _Reports(workers, snapshot)
    items = [
        _breaker_view(found.name, spec.key, told, why)
        for found in snapshot.upstreams
        if upstream in (None, found.name)
        for spec in found.endpoints
    ]
    return BreakerList(
        revision=snapshot.revision, workers=worker_views(snapshot.revision, workers), items=items
    )


class _Reports:
    """What the workers have reported, by what it is about; of breakers that nobody has reported yet what is wanted of them by hand."""

    def __init__(self, workers: Iterable[Reporter], snapshot: Snapshot | None = None) -> None:
        self._wanted = {} if snapshot is None else in_force(snapshot.forced, snapshot.upstreams)
        self.upstreams: dict[str, list[UpstreamReport]] = {}
        self.endpoints: dict[tuple[str, str], list[tuple[str, EndpointReport]]] = {}
        self.routes: dict[str, tuple[int, int]] = {}
        for worker in workers:
            if worker.report is None:
                continue
            if worker.report.red is not None:
                for series in worker.report.red.series:
                    self._count(series)
            for upstream in worker.report.upstreams:
                self.upstreams.setdefault(upstream.name, []).append(upstream)
                for endpoint in upstream.endpoints:
                    key = (upstream.name, endpoint.key)
                    self.endpoints.setdefault(key, []).append((worker.name, endpoint))

    def _count(self, series: SeriesReport) -> None:
        """Count the requests of a route, and those that got no answer or a 5xx."""
        requests, failures = self.routes.get(series.route, (0, 0))
        failed = sum(
            count
            for name, count in zip(CLASSES, series.classes, strict=False)
            if name in ("none", "5xx")
        )
        self.routes[series.route] = (requests + sum(series.classes), failures + failed)

    def of(self, upstream: str, key: str) -> list[tuple[str, EndpointReport]]:
        """The reports of one endpoint by worker."""
        return self.endpoints.get((upstream, key), [])

    def worst(self, upstream: str, key: str) -> EndpointReport:
        """The report with the breaker that is furthest from closed."""
        found = max((one for _, one in self.of(upstream, key)), key=_rank, default=None)
        if found is not None:
            return found
        action = self._wanted.get((upstream, key))
        return EndpointReport(
            key, "open" if action == OPEN else "closed", forced=action is not None
        )


def _source(upstream: Upstream | None) -> str:
    if upstream is None:
        return "app"
    if upstream.service is not None:
        return f"service:{upstream.service}"
    return f"dns:{upstream.dns}" if upstream.dns is not None else " ".join(upstream.urls)


def _rank(report: EndpointReport) -> int:
    return _STATES.index(report.state) if report.state in _STATES else 0


def _endpoint_view(upstream: str, spec: EndpointSpec, told: _Reports, why: str) -> EndpointView:
    reports = [one for _, one in told.of(upstream, spec.key)]
    worst = told.worst(upstream, spec.key)
    return EndpointView(
        endpoint=spec.key,
        id=spec.id,
        healthy=spec.healthy,
        reason=why,
        weight=spec.weight,
        zone=spec.zone,
        state=worst.state,
        forced=worst.forced or any(one.forced for one in reports),
        active=sum(one.active for one in reports),
        connections=sum(one.connections for one in reports),
        requests=sum(one.requests for one in reports),
        failures=sum(one.failures for one in reports),
    )


def _breaker_view(
    upstream: str, key: str, told: _Reports, why: Callable[[str, str], str]
) -> BreakerView:
    reports = told.of(upstream, key)
    worst = told.worst(upstream, key)
    return BreakerView(
        upstream=upstream,
        endpoint=key,
        state=worst.state,
        forced=worst.forced or any(one.forced for _, one in reports),
        reason=worst.reason or why(upstream, key),
        retry_after_s=worst.retry_after_s,
        workers={worker: one.state for worker, one in reports},
    )
