"""What a user can say about the ways in: the proxy that the app calls through, and the listener in front of the app."""

# ruff: noqa: D102 # the base class says what each method promises

from __future__ import annotations

from pillion.settings.addresses import AUTHORITY_PATTERN, check_authority
from pillion.settings.kinds import Choice, Flag, Kind, Schema, Text, Whole, quoted
from pillion.settings.lean import cast
from pillion.settings.policies import NO_BREAKER, NO_RETRY, Breaker, Limit, Retry, Timeouts
from pillion.settings.quantities import Duration, Size
from pillion.settings.record import Record, setting
from pillion.settings.references import Listen
from pillion.settings.route_patterns import EgressHost
from pillion.settings.shapes import Strings, Table
from pillion.settings.upstreams import PoolSettings, Upstream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pillion.settings.problems import Place

INBOUND_TIMEOUTS = Timeouts(try_s=0.0, total_s=0.0)
"""What stands in front of the app does not end what the app takes its time for: its callers have a patience of their own."""


class Ports(Kind):
    """A list of ports, held as tuple."""

    def __init__(self) -> None:
        super().__init__("a list of ports such as [443]")

    def read(self, value: object, place: Place, default: object) -> object:
        if not isinstance(value, list):
            place.report(f"cannot use {quoted(value)}", self.expected)
            return default
        port = Whole(1, 65535, "a port from 1 to 65535")
        return tuple(port.read(one, place.child(at), 0) for at, one in enumerate(value))

    def written(self, value: object) -> object:
        return list(cast("tuple[int, ...]", value))

    def plain_schema(self) -> Schema:
        return {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}}

    def encode(self, value: object) -> object:
        return list(cast("tuple[int, ...]", value))

    def decode(self, value: object) -> tuple[int, ...]:
        if not isinstance(value, list) or not all(type(one) is int for one in value):
            raise self.unfit(value)
        return tuple(value)


class Proxy(Record):
    """A forward proxy for programs that know nothing of upstreams: `http://orders/` means the upstream or service of that name."""

    listen: str = setting(
        Listen(off=False),
        "Where the proxy listens; port 0 takes any free one. A new address holds at once, and the app learns of it when it starts again.",
        default="127.0.0.1:0",
        restart="app",
        also=("bind", "address", "port"),
    )
    env: bool = setting(
        Flag(),
        "Tell the app by `http_proxy`, `https_proxy` and `no_proxy`, in both cases.",
        default=False,
        restart="app",
        also=("environment", "variables", "http_proxy"),
    )
    egress: str = setting(
        Choice(("allow", "deny", "list"), {"allowlist": "list", "whitelist": "list"}),
        'Whether names that are no upstream and no service go out: "allow", "deny", or "list" for those of `hosts`.',
        default="allow",
        also=("outbound", "policy", "mode", "outbound_traffic_policy"),
    )
    hosts: tuple[str, ...] = setting(
        Strings('a list such as ["*.example.org", "db.internal:5432"]', EgressHost(), alone=True),
        'The hosts of `egress = "list"`: names, domains with `*.`, either with a port of their own.',
        default=(),
        example=["api.example.org", "*.example.net:443"],
        also=("allow", "allowed", "allowlist", "list", "domains"),
    )
    credentials: bool = setting(
        Flag(),
        "Ask for credentials, which the app has in its variables, so that other users of the host cannot borrow the proxy.",
        default=True,
        restart="app",
        also=("auth", "authentication", "basic_auth", "password"),
    )
    connect_ports: tuple[int, ...] = setting(
        Ports(),
        "To which ports CONNECT may go; without it, to all that `egress` allows.",
        default=(),
        example=[443],
        also=("ports", "ssl_ports"),
    )


class HttpLimits(Record):
    """What is accepted from clients, by every way in."""

    target_bytes: int = setting(
        Size(64, 1 << 20),
        "A request's target; a longer one is answered 414.",
        default=8192,
        also=("url", "uri", "max_url", "max_uri", "request_line"),
    )
    header_bytes: int = setting(
        Size(1024, 1 << 20),
        "All headers of a message together; more are answered 431.",
        default=32768,
        also=("headers", "max_headers", "max_header_size", "max_request_headers_kb", "header_size"),
    )
    header_count: int = setting(
        Whole(1, 10_000),
        "How many headers a message may have; more are answered 431.",
        default=100,
        also=("max_header_count", "max_headers_count", "maxhdr"),
    )
    body_bytes: int = setting(
        Size(0, zero_word="none"),
        "A request's body; a longer one is answered 413.",
        default=0,
        example="10M",
        also=("max_body", "client_max_body_size", "max_request_bytes", "body_size"),
    )
    header_timeout_s: float = setting(
        Duration(0.01, 3600),
        "How long the head of a request may take; after it, 408.",
        default=10.0,
        also=("client_header_timeout", "request_headers_timeout", "http_request", "header_time"),
    )
    idle_timeout_s: float = setting(
        Duration(0.01, 86400),
        "How long a client's connection is kept between requests.",
        default=75.0,
        also=("keepalive_timeout", "idle", "keep_alive", "http_keep_alive", "client"),
    )
    write_timeout_s: float = setting(
        Duration(0.01, 86400),
        "How long a client may take nothing of what is sent to it.",
        default=30.0,
        also=("send_timeout", "write", "client_timeout"),
    )
    connections: int = setting(
        Whole(1, 1_000_000),
        "Clients' connections to one listener at once, in each worker; further ones wait in the backlog.",
        default=10000,
        also=("max_connections", "maxconn", "worker_connections"),
    )
    underscores: str = setting(
        Choice(("keep", "drop", "refuse"), {"allow": "keep", "reject": "refuse", "ignore": "drop"}),
        'What becomes of headers with _ in their names, which some programs cannot tell from -: "keep", "drop", or "refuse" with 400.',
        default="keep",
        also=("underscores_in_headers", "headers_with_underscores_action", "underscore"),
    )
    trusted_hops: int = setting(
        Whole(0, 32),
        "How many proxies in front are believed about the client, counted from this one; 0: none, and what they say is replaced.",
        default=0,
        also=("xff_num_trusted_hops", "hops", "trusted_proxies", "trust_proxy"),
    )
    forwarded: tuple[str, ...] = setting(
        Strings(
            'a list of "x-forwarded" and "forwarded"',
            Choice(("x-forwarded", "forwarded"), {"x-forwarded-for": "x-forwarded"}),
            alone=True,
        ),
        'How the client is named to the other side: "x-forwarded" is X-Forwarded-For, -Proto and -Host; "forwarded", RFC 7239.',
        default=("x-forwarded",),
        also=("forwarded_headers", "xff", "forwardfor"),
    )
    normalise: bool = setting(
        Flag(),
        "Whether paths are normalised before they are matched and sent: needless escapes, `.` and `..`.",
        default=True,
        also=("normalize", "normalize_path", "normalise_path"),
    )


class ServerTls(Record):
    """TLS for those who come in."""

    cert_file: str = setting(
        Text("a file's path"),
        "The certificate with its chain, in PEM; read again when it changes.",
        default="",
        required=True,
        example="/etc/ssl/shop.pem",
        also=("cert", "certificate", "crt", "ssl_certificate", "chain"),
    )
    key_file: str = setting(
        Text("a file's path"),
        "Its private key, in PEM.",
        default="",
        required=True,
        example="/etc/ssl/shop.key",
        also=("key", "private_key", "ssl_certificate_key"),
    )
    client_ca_file: str | None = setting(
        Text("a file's path", optional=True),
        "Clients must show a certificate that is signed by one of these (mTLS), in PEM; without it, none is asked for.",
        default=None,
        example="/etc/ssl/clients-ca.pem",
        also=("client_ca", "ca_file", "ca", "ssl_client_certificate", "trusted_ca"),
    )
    allowed_names: tuple[str, ...] = setting(
        Strings('a list such as ["storefront.internal"]', Text("a name"), alone=True),
        "A client's certificate must bear one of these names; without it, any will do.",
        default=(),
        example=["storefront.internal"],
        also=("names", "allowed", "san", "subject_alt_names", "client_names"),
    )
    min_version: str = setting(
        Choice(("1.2", "1.3"), {"TLSv1.2": "1.2", "TLSv1.3": "1.3"}),
        "The least version of TLS.",
        default="1.2",
        also=("minimum_version", "tls_minimum_protocol_version", "ssl_protocols", "version"),
    )


class Inbound(Record):
    """A listener in front of `app.port`, for those who call the app."""

    listen: str = setting(
        Listen(off=False),
        "Where others reach the app.",
        default="127.0.0.1:0",
        required=True,
        example="0.0.0.0:8080",
        also=("bind", "address", "port"),
    )
    tls: ServerTls | None = setting(
        Table(ServerTls(), optional=True),
        "TLS for those who come in; without it, plain.",
        default=None,
        also=("ssl", "https"),
    )
    proxy_protocol: bool = setting(
        Flag(),
        "Each connection must begin with a PROXY protocol header: for a load balancer in front that sends one.",
        default=False,
        also=("accept_proxy", "accept-proxy"),
    )
    limit: Limit = setting(
        Table(Limit()),
        "How much the app is sent at once, and how often.",
        default=Limit(),
        also=("limits", "rate_limit", "ratelimit"),
    )
    timeout: Timeouts = setting(
        Table(INBOUND_TIMEOUTS, shorthand="total"),
        "How long the app may take.",
        default=INBOUND_TIMEOUTS,
        also=("timeouts",),
    )
    retry: Retry = setting(
        Table(NO_RETRY, shorthand="attempts", words={"off": NO_RETRY}),
        "When a request to the app is tried again.",
        default=NO_RETRY,
        also=("retries", "retry_policy"),
    )
    breaker: Breaker = setting(
        Table(NO_BREAKER, shorthand="consecutive", words={"off": NO_BREAKER}),
        "When the app is sent nothing for a while.",
        default=NO_BREAKER,
        also=("circuit_breaker", "outlier_detection", "breakers"),
    )
    pool: PoolSettings = setting(
        Table(PoolSettings()),
        "The connections to the app that are kept for the next request.",
        default=PoolSettings(),
        also=("connections", "keepalive", "connection_pool"),
    )
    host: str | None = setting(
        Text("a host name", check=check_authority, pattern=AUTHORITY_PATTERN, optional=True),
        "The `Host` that the app is sent; without it, what the client asked for.",
        default=None,
        example="shop.internal",
        also=("host_header", "authority", "host_rewrite"),
    )

    def upstream(self, port: int) -> Upstream:
        """The app at `port` of this host, as the upstream that inbound requests go to."""
        return Upstream(
            urls=(f"http://127.0.0.1:{port}",),
            listen=None,
            host=self.host,
            timeout=self.timeout,
            retry=self.retry,
            breaker=self.breaker,
            limit=self.limit,
            pool=self.pool,
        )
