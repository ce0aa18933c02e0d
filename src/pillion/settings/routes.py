"""What a user can say about where a request goes: what it is matched by, to whom it is sent, and what is changed on the way."""

from __future__ import annotations

from pillion.settings.headers import NAME_PATTERN as HEADER_PATTERN
from pillion.settings.headers import check_header_name, check_header_value
from pillion.settings.kinds import Text
from pillion.settings.names import NAME_PATTERN, check_name, name_text
from pillion.settings.policies import Fault
from pillion.settings.quantities import Rate
from pillion.settings.record import NOTHING, Record, setting
from pillion.settings.route_actions import Answer, HeaderRules, Redirect, Rewrite, Target
from pillion.settings.route_overrides import RouteRetry, RouteTimeouts
from pillion.settings.route_patterns import HostPattern, Method, PathPattern
from pillion.settings.shapes import Strings, Strmap, Table
from pillion.settings.tables import Tablelist

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "APP",
    "INBOUND",
    "PROXY",
    "RESERVED_NAMES",
    "Answer",
    "HeaderRules",
    "Match",
    "Redirect",
    "Rewrite",
    "RouteRetry",
    "RouteSpec",
    "RouteTimeouts",
    "Target",
]

PROXY = "proxy"
INBOUND = "inbound"
APP = "app"
"""The upstream that `[inbound]` has of itself: the app at `app.port`."""
RESERVED_NAMES = (PROXY, INBOUND, APP)
"""Ways in and the app: no upstream can be called so."""


def _check_matched_header(text: str) -> None:
    if text.lower() == "host":
        raise ValueError("use match.host")
    check_header_name(text)


def _check_query_name(text: str) -> None:
    if not text or any(ord(c) < 33 or ord(c) == 127 or c in "&=#" for c in text):
        raise ValueError("not the name of a query parameter")


class Match(Record):
    """What a request must be like. What is not said matches anything; of a list, one must fit."""

    host: tuple[str, ...] = setting(
        Strings('a host such as "shop.internal", or a list', HostPattern(), alone=True),
        'The host that is asked for, without its port: a name, "*.example.org" for all below a domain, or "*".',
        default=(),
        example=["shop.internal"],
        also=("hosts", "domain", "domains", "server_name", "authority"),
    )
    path: str = setting(
        PathPattern(),
        'The path, after normalisation: exactly "/status"; "/v2/" and "/v2*" and all that begins so; "/users/{id}" with one part '
        "of any value.",
        default="",
        example="/v2/",
        also=("prefix", "path_prefix", "pathprefix", "uri", "location", "path_beg"),
    )
    methods: tuple[str, ...] = setting(
        Strings('a method such as "GET", or a list', Method(), alone=True),
        "The methods.",
        default=(),
        example=["GET", "HEAD"],
        also=("method", "verbs", "verb"),
    )
    headers: Mapping[str, str] = setting(
        Strmap(
            'a table such as { x-version = "2" }',
            Text(empty=True, check=check_header_value),
            key_pattern=HEADER_PATTERN,
            check=_check_matched_header,
        ),
        'Headers with exactly this value; "*": with any.',
        default=NOTHING,
        example={"x-version": "2"},
        also=("header", "hdr"),
    )
    query: Mapping[str, str] = setting(
        Strmap(
            'a table such as { beta = "1" }',
            Text(empty=True),
            key_pattern=r"^[^&=#\u0000-\u0020\u007f]+$",
            check=_check_query_name,
            numbers=True,
        ),
        'Query parameters with exactly this value; "*": with any.',
        default=NOTHING,
        example={"beta": "1"},
        also=("query_parameters", "params", "args", "queries", "url_param"),
    )


class RouteSpec(Record):
    """Where requests go. The first route in the file that matches holds. Exactly one of to, redirect and answer."""

    name: str = setting(
        name_text('a name such as "canary"'),
        "Under which name it stands in logs and metrics; without it, its place in the file: #1 for the first.",
        default="",
        example="canary",
        also=("id",),
    )
    listener: tuple[str, ...] = setting(
        Strings(
            '"proxy", "inbound", the name of an upstream, or a list of them',
            Text("a name", check=check_name, pattern=NAME_PATTERN),
            alone=True,
        ),
        'By which ways in: "proxy", "inbound", or an upstream\'s local port; without it, the proxy.',
        default=(),
        example=["inbound"],
        also=("listeners", "from", "entrypoint", "entrypoints", "frontend"),
    )
    match: Match = setting(
        Table(Match(), shorthand="path"),
        "What a request must be like.",
        default=Match(),
        also=("when", "rule", "if"),
    )
    to: tuple[Target, ...] = setting(
        Tablelist(Table(Target(), shorthand="upstream"), most=100, alone=True),
        "To whom it is sent: an upstream's name, or several with weights.",
        default=(),
        also=("upstream", "cluster", "backend", "weighted_clusters", "service", "upstreams"),
    )
    rewrite: Rewrite = setting(
        Table(Rewrite()),
        "What is sent instead of what was asked for.",
        default=Rewrite(),
        also=("rewrites", "replace"),
    )
    redirect: Redirect | None = setting(
        Table(Redirect(), shorthand="to", optional=True),
        "An answer that sends the client elsewhere.",
        default=None,
        also=("return_redirect", "location"),
    )
    answer: Answer | None = setting(
        Table(Answer(), shorthand="status", optional=True),
        "An answer of the ambassador's own.",
        default=None,
        also=("direct_response", "respond", "return", "fixed_response", "response"),
    )
    request_headers: HeaderRules = setting(
        Table(HeaderRules()),
        "Changes of the request's headers.",
        default=HeaderRules(),
        also=("headers", "proxy_set_header", "request_headers_to_add", "http_request"),
    )
    response_headers: HeaderRules = setting(
        Table(HeaderRules()),
        "Changes of the answer's headers.",
        default=HeaderRules(),
        also=("add_header", "response_headers_to_add", "http_response"),
    )
    timeout: RouteTimeouts | None = setting(
        Table(RouteTimeouts(), shorthand="total", optional=True),
        "What differs from the upstream's `timeout`.",
        default=None,
        also=("timeouts",),
    )
    retry: RouteRetry | None = setting(
        Table(
            RouteRetry(),
            shorthand="attempts",
            optional=True,
            words={"off": RouteRetry(attempts=0)},
        ),
        'What differs from the upstream\'s `retry`; "off": never again.',
        default=None,
        also=("retries", "retry_policy"),
    )
    rate: float | None = setting(
        Rate(),
        "Requests over time by this route, in each worker; what exceeds it is answered 429.",
        default=None,
        example="200/s",
        also=("rate_limit", "limit", "ratelimit"),
    )
    client_rate: float | None = setting(
        Rate(),
        "The same for each client address.",
        default=None,
        example="10/s",
        also=("per_client", "ip_rate"),
    )
    fault: Fault | None = setting(
        Table(Fault(), optional=True),
        "Faults made on purpose, instead of the upstream's.",
        default=None,
        also=("faults", "fault_injection", "chaos"),
    )

    @property
    def ways_in(self) -> tuple[str, ...]:
        """The names of the listeners that this route belongs to."""
        return self.listener or (PROXY,)
