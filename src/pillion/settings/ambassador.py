"""What a user can say about the ambassador: its processes, whom it knows, where requests go, and what it writes down of them."""

from __future__ import annotations

from pillion.settings.edges import HttpLimits, Proxy
from pillion.settings.headers import NAME_PATTERN as HEADER_PATTERN
from pillion.settings.headers import check_header_name
from pillion.settings.kinds import Flag, Text, Whole
from pillion.settings.lean import cast
from pillion.settings.names import NAME_PATTERN, check_name
from pillion.settings.quantities import Duration, Percentage
from pillion.settings.record import Record, setting
from pillion.settings.routes import RouteSpec
from pillion.settings.shapes import Strings, Table
from pillion.settings.sidecar import SIDECAR_LIMITS
from pillion.settings.tables import NO_RECORDS, Tablelist, Tablemap
from pillion.settings.upstreams import Upstream, UpstreamTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.settings.limits import Limits

MOST_UPSTREAMS = 500
MOST_ROUTES = 1000
MOST_WORKERS = 64


class RequestLog(Record):
    """One record of each request, as a stream of the spool."""

    enabled: bool = setting(
        Flag(), "Whether there is a request log.", default=True, also=("on", "enable")
    )
    sample: float = setting(
        Percentage(),
        "The share of the requests that is written down.",
        default=1.0,
        also=("sampling", "ratio", "rate"),
    )
    errors: bool = setting(
        Flag(),
        "Write down what failed in any case.",
        default=True,
        also=("failures", "always_errors"),
    )
    redact: tuple[str, ...] = setting(
        Strings('a list such as ["card", "x-user*"]', Text("a name"), alone=True),
        "Further query parameters and headers whose values are not written down, besides those that hold credentials by custom; `*` stands for anything.",
        default=(),
        example=["card", "x-user*"],
        also=("hide", "mask", "secrets", "filter"),
    )
    headers: tuple[str, ...] = setting(
        Strings(
            'a list such as ["user-agent"]',
            Text("a header's name", check=check_header_name, pattern=HEADER_PATTERN),
            alone=True,
        ),
        "Headers of the request that are written down as well.",
        default=(),
        example=["user-agent", "x-request-id"],
        also=("request_headers", "fields", "capture"),
    )


class Trace(Record):
    """W3C trace context: continued where it comes in, begun where it does not."""

    enabled: bool = setting(
        Flag(),
        "Whether requests carry `traceparent`.",
        default=True,
        also=("on", "enable", "propagate"),
    )
    sample: float = setting(
        Percentage(),
        "The share of the traces begun here whose spans are exported. Of those that come in, the caller has decided.",
        default=0.0,
        example="1%",
        also=("sampling", "ratio", "rate", "random_sampling"),
    )
    export: bool = setting(
        Flag(),
        "Whether spans go to `telemetry.otlp`.",
        default=True,
        also=("spans", "otlp"),
    )


class Ambassador(Record):
    """The data plane: the processes through which the app calls others, and others call the app."""

    workers: int = setting(
        Whole(1, MOST_WORKERS),
        "How many processes share the work; one uses one core at most.",
        default=1,
        also=("processes", "concurrency", "worker_processes", "nbthread", "threads"),
    )
    limits: Limits = setting(
        Table(SIDECAR_LIMITS), "Upper bounds of each worker.", default=SIDECAR_LIMITS
    )
    heartbeat_s: float = setting(
        Duration(0.1, 60),
        "How often a worker shows that it lives. One that misses two is replaced.",
        default=12.0,
        restart="ambassador",
    )
    drain_s: float = setting(
        Duration(0, 3600),
        "How long requests under way may take when a worker is stopped or upgraded. What is cut off then is counted.",
        default=10.0,
        also=("drain_timeout", "grace", "shutdown_timeout"),
    )
    proxy: Proxy | None = setting(
        Table(Proxy(), shorthand="listen", optional=True),
        "A forward proxy for programs that know nothing of upstreams; without it, none.",
        default=None,
        also=("forward_proxy", "http_proxy", "egress"),
    )
    upstreams: Mapping[str, Upstream] = setting(
        Tablemap(
            UpstreamTable(),
            sample="orders",
            check=check_name,
            key_pattern=NAME_PATTERN,
            most=MOST_UPSTREAMS,
        ),
        "Whom the app calls, each under a name of its own.",
        default=cast("Mapping[str, Upstream]", NO_RECORDS),
        also=("upstream", "clusters", "cluster", "backends", "backend", "services"),
    )
    routes: tuple[RouteSpec, ...] = setting(
        Tablelist(RouteSpec(), most=MOST_ROUTES),
        "Where requests go, in the order in which they are tried. What none of them matches goes to the upstream whose port or name "
        "was called, or is answered 404.",
        default=(),
        also=("route", "rules", "locations", "virtual_hosts", "routers"),
    )
    http: HttpLimits = setting(
        Table(HttpLimits()),
        "What is accepted from clients, by every way in.",
        default=HttpLimits(),
        also=("http_limits", "client", "server", "http1"),
    )
    log: RequestLog = setting(
        Table(RequestLog(), shorthand="enabled"),
        "One record of each request, as the stream `requests` of the spool.",
        default=RequestLog(),
        also=("access_log", "logs", "request_log", "accesslog", "logging"),
    )
    trace: Trace = setting(
        Table(Trace(), shorthand="enabled"),
        "W3C trace context.",
        default=Trace(),
        also=("tracing", "traces"),
    )
