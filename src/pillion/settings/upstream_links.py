"""What a user can say about the connections to an upstream's endpoints: those that are kept, those that only ask, and TLS."""

from pillion.settings.addresses import AUTHORITY_PATTERN, check_authority
from pillion.settings.kinds import Flag, Text, Whole
from pillion.settings.quantities import Duration
from pillion.settings.record import Record, setting
from pillion.settings.shapes import Strings
from pillion.settings.statuses import StatusRange


def _check_path(text: str) -> None:
    if not text.startswith("/") or any(ord(c) < 33 or ord(c) == 127 for c in text):
        raise ValueError("a path begins with / and has no white space")


def _check_protocol(text: str) -> None:
    # RFC 7301 section 3.1: one to 255 bytes.
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > 255:
        raise ValueError("the name of a protocol, as h2, has at most 255 letters of ASCII")


class PoolSettings(Record):
    """The connections to each endpoint that are kept for the next request."""

    connections: int = setting(
        Whole(0, 1_000_000),
        "Connections to one endpoint, in each worker; 0: no bound. Who finds none free waits, as `limit.queue` says.",
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
        default=256,
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
    alpn: tuple[str, ...] = setting(
        Strings(
            'a list such as ["h2"]',
            Text("a protocol's name", check=_check_protocol),
            alone=True,
        ),
        'What is offered by ALPN to a `tcp` upstream; gRPC and HTTP/2 over TLS want "h2". HTTP is always offered as http/1.1.',
        default=(),
        example=["h2"],
        also=("alpn_protocols", "next_protocols", "protocols"),
    )
