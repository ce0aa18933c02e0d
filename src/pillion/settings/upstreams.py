"""What a user can say about those whom the app calls: where they are, how the load is shared, and what happens when they fail."""

from typing import cast

from pillion.settings.headers import check_header_name
from pillion.settings.kinds import Choice, Flag, Text, Whole
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
from pillion.settings.problems import Place
from pillion.settings.quantities import Duration
from pillion.settings.record import Record, setting
from pillion.settings.references import Endpoint, Listen
from pillion.settings.shapes import Strings, Table
from pillion.settings.statuses import StatusRange
from pillion.settings.upstream_urls import UpstreamAddress

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
AUTHORITY_PATTERN = r"^[^/?#@,{}\s\u0080-\uffff]+$"


def upstream_variable(name: str) -> str:
    """The environment variable by which the app learns the local address of the upstream `name`."""
    return "PILLION_UPSTREAM_" + name.upper().replace("-", "_").replace(".", "_")


def check_authority(text: str) -> None:
    """Raise ValueError unless `text` can be sent as `Host`: a name or address, with a port or without (RFC 9110, section 7.2)."""
    if not text.isascii():
        raise ValueError("a host name is ASCII; write it in its xn-- form")
    if any(ord(c) < 33 or ord(c) == 127 or c in "/?#@,{}" for c in text):
        raise ValueError("not a host name or address")


def _check_hash(text: str) -> None:
    sort, colon, name = text.partition(":")
    if text == "address":
        return
    if sort not in ("header", "cookie") or not colon:
        raise ValueError("neither header:NAME, cookie:NAME nor address")
    check_header_name(name)


def _check_path(text: str) -> None:
    if not text.startswith("/") or any(ord(c) < 33 or ord(c) == 127 for c in text):
        raise ValueError("a path begins with / and has no white space")


class PoolSettings(Record):
    """The connections to each endpoint that are kept for the next request."""

    connections: int = setting(
        Whole(0, 1_000_000),
        "Connections to one endpoint, in each worker; 0: no bound.",
        default=0,
        also=("max_connections", "maxconn", "size", "max"),
    )
    idle_s: float = setting(
        Duration(0, 86400),
        'An idle connection is given up after this; less than the server\'s own time, which is 5 s for Node.js. "0s": none is kept.',
        default=4.0,
        also=("idle_timeout", "keepalive", "keepalive_timeout", "keep_alive"),
    )
    idle_connections: int = setting(
        Whole(0, 1_000_000),
        "Idle connections to one endpoint that are kept.",
        default=64,
        also=("max_idle", "keepalive_connections", "pool_max_conn"),
    )
    requests: int = setting(
        Whole(0, 1_000_000_000),
        "Requests after which a connection is not used again; 0: no bound.",
        default=0,
        also=("max_requests", "keepalive_requests", "max_requests_per_connection"),
    )


class ActiveCheck(Record):
    """Asking the endpoints themselves how they are, beside what the requests show. Exactly one of http and tcp."""

    http: str | None = setting(
        Text('a path such as "/healthz"', check=_check_path, pattern="^/", optional=True),
        "An endpoint is healthy when this path answers with one of `status`.",
        default=None,
        example="/healthz",
        also=("path", "url", "uri"),
    )
    tcp: bool = setting(
        Flag(),
        "An endpoint is healthy when it accepts a connection.",
        default=False,
        also=("connect",),
    )
    interval_s: float = setting(
        Duration(0.1, 86400), "Time between two attempts.", default=10.0, also=("period", "inter")
    )
    timeout_s: float = setting(
        Duration(0.01, 3600), "How long one attempt may take.", default=1.0, also=("deadline",)
    )
    rise: int = setting(
        Whole(1, 1000),
        "Successes in a row after which it is healthy.",
        default=2,
        also=("healthy_threshold", "passes", "success_threshold"),
    )
    fall: int = setting(
        Whole(1, 1000),
        "Failures in a row after which it is not.",
        default=3,
        also=("unhealthy_threshold", "failure_threshold", "fails"),
    )
    status: tuple[str, ...] = setting(
        Strings('a list such as ["200-299", "404"]', StatusRange(), alone=True),
        "With which answers an http check passes.",
        default=("200-299",),
        also=("statuses", "codes", "expect", "expected_statuses", "expected_codes"),
    )


class ClientTls(Record):
    """TLS to the endpoints of an upstream."""

    ca_file: str | None = setting(
        Text("a file's path", optional=True),
        "Certificates, in PEM, by which the endpoints are known; without it, the system's.",
        default=None,
        example="/etc/ssl/orders-ca.pem",
        also=("ca", "cafile", "trusted_ca", "root_ca", "ca_cert"),
    )
    verify: bool = setting(
        Flag(),
        "Whether the endpoints' certificates are verified at all.",
        default=True,
        also=("insecure", "insecure_skip_verify", "ssl_verify", "proxy_ssl_verify"),
    )
    server_name: str | None = setting(
        Text("a host name", check=check_authority, pattern=AUTHORITY_PATTERN, optional=True),
        "The name that is asked for (SNI) and that the certificate must bear; without it, the URL's host, or `host`.",
        default=None,
        example="orders.internal",
        also=("sni", "servername", "hostname"),
    )
    cert_file: str | None = setting(
        Text("a file's path", optional=True),
        "The certificate, in PEM, that is shown to the endpoints (mTLS).",
        default=None,
        example="/etc/ssl/shop.pem",
        also=("cert", "certificate", "crt", "client_cert"),
    )
    key_file: str | None = setting(
        Text("a file's path", optional=True),
        "Its private key, in PEM.",
        default=None,
        example="/etc/ssl/shop.key",
        also=("key", "private_key", "client_key"),
    )
    names: tuple[str, ...] = setting(
        Strings('a list such as ["orders.internal"]', Text("a name"), alone=True),
        "The certificate must bear one of these names instead of `server_name`.",
        default=(),
        example=["orders.internal"],
        also=("allowed_names", "san", "subject_alt_names", "verify_subject_alt_name"),
    )


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
