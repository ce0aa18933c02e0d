"""What a user can say about those whom the app calls: where they are, how the load is shared, and what happens when they fail."""

from __future__ import annotations

from pillion.settings.addresses import AUTHORITY_PATTERN, check_authority
from pillion.settings.headers import check_header_name
from pillion.settings.kinds import Choice, Flag, Text
from pillion.settings.lean import cast
from pillion.settings.names import name_text
from pillion.settings.policies import (
    NO_BREAKER,
    NO_RETRY,
    Breaker,
    Fault,
    Limit,
    Retry,
    Timeouts,
)
from pillion.settings.quantities import Duration
from pillion.settings.record import Record, setting
from pillion.settings.references import Endpoint, Listen
from pillion.settings.shapes import Strings, Table
from pillion.settings.upstream_links import ActiveCheck, ClientTls, PoolSettings
from pillion.settings.upstream_urls import UpstreamAddress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pillion.settings.problems import Place

__all__ = [
    "ActiveCheck",
    "Breaker",
    "ClientTls",
    "Fault",
    "Limit",
    "PoolSettings",
    "Retry",
    "Timeouts",
    "Upstream",
    "upstream_variable",
]

UPSTREAM_SOURCES = ("service", "urls", "dns")
"""Where the endpoints of an upstream come from: exactly one of them."""
BALANCES = ("least-request", "round-robin", "random", "hash")

_HASH_PATTERN = r"^(address|(header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+)$"


def upstream_variable(name: str) -> str:
    """The environment variable by which the app learns the local address of the upstream `name`."""
    return "PILLION_UPSTREAM_" + name.upper().replace("-", "_").replace(".", "_")


def _check_hash(text: str) -> None:
    sort, colon, name = text.partition(":")
    if text == "address":
        return
    if sort not in ("header", "cookie") or not colon:
        raise ValueError("neither header:NAME, cookie:NAME nor address")
    check_header_name(name)


class Upstream(Record):
    """Somebody whom the app calls. Exactly one of service, urls and dns says where the endpoints are."""

    service: str | None = setting(
        name_text('the name of a service such as "orders"', optional=True),
        "The endpoints are the instances that discovery has of this service, as they come and go.",
        default=None,
        example="orders",
        also=("discovery", "from_service", "cluster"),
    )
    urls: tuple[str, ...] = setting(
        Strings(
            'a list of URLs such as ["http://10.0.0.7:3000"], or one',
            UpstreamAddress(),
            alone=True,
        ),
        "The endpoints: http, https and tcp URLs, or `unix:/path`; all of them TLS, or none.",
        default=(),
        example=["http://10.0.0.7:3000", "http://10.0.0.8:3000"],
        also=("url", "servers", "server", "endpoints", "hosts", "addresses", "address", "targets"),
    )
    dns: str | None = setting(
        Endpoint('a name and port such as "orders.internal:3000"'),
        "The endpoints are all addresses of this name, looked up again and again.",
        default=None,
        example="orders.internal:3000",
        also=("resolve", "strict_dns", "hostname", "resolver"),
    )
    dns_interval_s: float = setting(
        Duration(0.1, 86400),
        "How often `dns` is looked up. While that fails, the last addresses hold.",
        default=30.0,
        also=("dns_refresh_rate", "ttl", "refresh"),
    )
    protocol: str = setting(
        Choice(
            ("http", "tcp"),
            {"http1": "http", "http/1.1": "http", "grpc": "tcp", "http2": "tcp", "h2": "tcp"},
        ),
        '"http" with all of the policy, or "tcp", byte for byte: databases, gRPC and HTTP/2, balanced per connection. '
        'With tcp URLs it is "tcp" unless told otherwise.',
        default="http",
        restart="app",
        also=("mode", "type", "scheme"),
    )
    listen: str | None = setting(
        Listen(),
        "The local port of this upstream, which the app learns as `PILLION_UPSTREAM_<NAME>`; port 0 takes any free one, "
        '"off": there is none, and it is reached by routes and the proxy alone. A new address holds at once, and the app learns of it '
        "when it starts again.",
        default="127.0.0.1:0",
        restart="app",
        also=("bind", "listener", "local_port", "port", "entrypoint"),
    )
    host: str | None = setting(
        Text("a host name", check=check_authority, pattern=AUTHORITY_PATTERN, optional=True),
        "The `Host` that is sent; without it, what the client asked for by the proxy or inbound, and by the upstream's own port the "
        "URL's host, or the service's or DNS name.",
        default=None,
        example="orders.internal",
        also=("host_header", "authority", "host_rewrite", "preserve_host"),
    )
    balance: str = setting(
        Choice(
            BALANCES,
            {
                "least_request": "least-request",
                "least-conn": "least-request",
                "least_conn": "least-request",
                "leastconn": "least-request",
                "p2c": "least-request",
                "roundrobin": "round-robin",
                "round_robin": "round-robin",
                "wrr": "round-robin",
                "ring-hash": "hash",
                "ring_hash": "hash",
                "maglev": "hash",
                "consistent-hash": "hash",
            },
        ),
        'Who gets the next request: "least-request", of two picked at random the one with fewer under way; "round-robin"; "random"; '
        'each by weight; "hash", always the same one for the same `hash`.',
        default="least-request",
        also=("lb", "lb_policy", "load_balancing", "algorithm", "policy", "strategy"),
    )
    hash: str | None = setting(
        Text(
            '"header:NAME", "cookie:NAME" or "address"',
            check=_check_hash,
            pattern=_HASH_PATTERN,
            optional=True,
        ),
        'What `balance = "hash"` goes by: a header, a cookie or the client\'s address.',
        default=None,
        example="header:x-user",
        also=("hash_on", "hash_policy", "sticky", "affinity", "hash_key"),
    )
    zone_first: bool = setting(
        Flag(),
        "Whether endpoints in the `service.zone` of this instance are preferred while they are healthy.",
        default=False,
        also=("zone", "zone_aware", "locality", "prefer_zone"),
    )
    slow_start_s: float = setting(
        Duration(0, 3600),
        "A new endpoint's share grows to its full size over this time.",
        default=0.0,
        example="30s",
        also=("slowstart", "warmup", "slow_start_window"),
    )
    timeout: Timeouts = setting(
        Table(Timeouts(), shorthand="total"),
        "How long a call may take.",
        default=Timeouts(),
        also=("timeouts",),
    )
    retry: Retry = setting(
        Table(Retry(), shorthand="attempts", words={"off": NO_RETRY}),
        'When a request is tried again; "off": never.',
        default=Retry(),
        also=("retries", "retry_policy"),
    )
    breaker: Breaker = setting(
        Table(Breaker(), shorthand="consecutive", words={"off": NO_BREAKER}),
        'When an endpoint is sent nothing for a while; "off": never.',
        default=Breaker(),
        also=("circuit_breaker", "circuit_breakers", "outlier_detection", "breakers"),
    )
    limit: Limit = setting(
        Table(Limit()),
        "How much is sent at once, and how often.",
        default=Limit(),
        also=("limits", "rate_limit", "ratelimit"),
    )
    pool: PoolSettings = setting(
        Table(PoolSettings()),
        "The connections that are kept for the next request.",
        default=PoolSettings(),
        also=("connections", "keepalive", "connection_pool"),
    )
    check: ActiveCheck | None = setting(
        Table(ActiveCheck(), shorthand="http", optional=True),
        "Asking the endpoints themselves how they are; without it, what the requests show, and what discovery says, is all.",
        default=None,
        also=("health_check", "healthcheck", "health_checks", "health", "probe"),
    )
    tls: ClientTls | None = setting(
        Table(ClientTls(), optional=True),
        "TLS to the endpoints. https URLs have it anyhow; `tls = {}` gives it to a service, to `dns`, and to tcp URLs.",
        default=None,
        also=("ssl", "transport_socket", "https"),
    )
    proxy_protocol: str = setting(
        Choice(("off", "v1", "v2"), {"send-proxy": "v1", "send-proxy-v2": "v2"}),
        "Whether each connection begins with a PROXY protocol header that names the client, and of which version.",
        default="off",
        also=("send_proxy", "proxy"),
    )
    fault: Fault | None = setting(
        Table(Fault(), optional=True),
        "Faults made on purpose.",
        default=None,
        also=("faults", "fault_injection", "chaos"),
    )


class UpstreamTable(Table):
    """An upstream's table, in which the URLs say the protocol where nothing else does."""

    def __init__(self) -> None:
        super().__init__(Upstream(), shorthand="urls")

    def read(self, value: object, place: Place, default: object) -> object:
        found = cast("Upstream", super().read(value, place, default))
        said = isinstance(value, dict) and "protocol" in value
        return found if said else found.replace(protocol=_protocol_of(found.urls))

    def written(self, value: object) -> object:
        held = cast("Upstream", value)
        table = cast("dict[str, object]", super().written(value))
        if held.protocol != _protocol_of(held.urls):
            table["protocol"] = held.protocol
        return table


def _protocol_of(urls: tuple[str, ...]) -> str:
    """What the URLs say; `unix:` says neither."""
    schemes = {url.partition(":")[0] for url in urls} - {"unix"}
    return "tcp" if schemes == {"tcp"} else "http"
