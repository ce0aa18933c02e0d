"""What a user can say about where a request goes: what it is matched by, to whom it is sent, and what is changed on the way."""

from collections.abc import Mapping
from typing import TypeVar

from pillion.settings.headers import FRAMING, check_header_name, check_header_value
from pillion.settings.headers import NAME_PATTERN as HEADER_PATTERN
from pillion.settings.kinds import Choice, Flag, Text, Whole
from pillion.settings.names import NAME_PATTERN, check_name, name_text
from pillion.settings.policies import (
    NONE,
    RETRY_CONDITIONS,
    RETRY_SPELLINGS,
    Fault,
    Retry,
    Timeouts,
)
from pillion.settings.quantities import Duration, Rate
from pillion.settings.record import NOTHING, Record, setting
from pillion.settings.route_patterns import (
    PATH_PATTERN,
    HostPattern,
    Method,
    PathPattern,
    check_location,
    check_path_written,
)
from pillion.settings.shapes import Strings, Strmap, Table
from pillion.settings.statuses import Status
from pillion.settings.tables import Tablelist
from pillion.settings.upstreams import AUTHORITY_PATTERN, check_authority

R = TypeVar("R", bound=Record)

PROXY = "proxy"
INBOUND = "inbound"
APP = "app"
"""The upstream that `[inbound]` has of itself: the app at `app.port`."""
RESERVED_NAMES = (PROXY, INBOUND, APP)
"""Ways in and the app: no upstream can be called so."""

_MOST_BODY = 64 << 10
_HOP_BY_HOP = (
    *FRAMING,
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
)


def _check_rule_name(text: str) -> None:
    check_header_name(text)
    if text.lower() == "host":
        raise ValueError("use rewrite.host")
    if text.lower() in _HOP_BY_HOP:
        raise ValueError("this header belongs to the connection, not to the message")


def _check_matched_header(text: str) -> None:
    if text.lower() == "host":
        raise ValueError("use match.host")
    check_header_name(text)


def _check_query_name(text: str) -> None:
    if not text or any(ord(c) < 33 or ord(c) == 127 or c in "&=#" for c in text):
        raise ValueError("not the name of a query parameter")


def _check_body(text: str) -> None:
    if len(text.encode(errors="surrogatepass")) > _MOST_BODY:
        raise ValueError("longer than 64K")


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


class Target(Record):
    """An upstream, and its share."""

    upstream: str = setting(
        name_text("the name of an upstream"),
        "The upstream's name; `app` is the app itself, for `[inbound]`.",
        default="",
        required=True,
        example="orders",
        also=("name", "cluster", "service", "backend", "host"),
    )
    weight: int = setting(
        Whole(0, 1_000_000),
        "Its share of the requests, relative to the others'; 0 is none.",
        default=1,
        also=("share", "percent", "percentage"),
    )


class Rewrite(Record):
    """What is sent instead of what was asked for. At most one of path and prefix."""

    path: str = setting(
        Text('a path such as "/api/{id}"', check=check_path_written, pattern=PATH_PATTERN),
        "The whole path; `{name}` is what that part of `match.path` was.",
        default="",
        example="/api/users/{id}",
        also=("uri", "replace_path", "set_path"),
    )
    prefix: str = setting(
        Text('a path such as "/"', check=check_path_written, pattern=PATH_PATTERN),
        "What stands in the place of the prefix that `match.path` is.",
        default="",
        example="/",
        also=("prefix_rewrite", "strip_prefix", "stripprefix", "replace_prefix"),
    )
    host: str | None = setting(
        Text("a host name", check=check_authority, pattern=AUTHORITY_PATTERN, optional=True),
        "The `Host`, before that of the upstream.",
        default=None,
        example="orders.internal",
        also=("host_rewrite", "authority", "host_rewrite_literal"),
    )


class Redirect(Record):
    """An answer that sends the client elsewhere."""

    to: str = setting(
        Text(
            'a path or URL such as "https://shop.example/"',
            check=check_location,
            pattern=r"^(https?://[^/?#@{}\s]+)?(/[!-~]*)?$",
        ),
        "Where to. With a / at its end the rest of the path and the query go with it; `{name}` is what that part of `match.path` was.",
        default="",
        required=True,
        example="https://shop.example/",
        also=("url", "location", "target"),
    )
    status: int = setting(
        Status((301, 302, 303, 307, 308)),
        "The status.",
        default=308,
        also=("code", "response_code"),
    )


class Answer(Record):
    """An answer of the ambassador's own."""

    status: int = setting(
        Whole(200, 599, "a status from 200 to 599"),
        "The status.",
        default=200,
        also=("code",),
    )
    body: str = setting(
        Text(empty=True, check=_check_body),
        "The body.",
        default="",
        example="gone\n",
        also=("text", "content", "string", "inline_string"),
    )
    type: str = setting(
        Text("a media type", check=check_header_value),
        "The body's media type.",
        default="text/plain; charset=utf-8",
        also=("content_type", "media_type", "mime"),
    )


class HeaderRules(Record):
    """Changes of headers, carried out in the order remove, set, add."""

    set: Mapping[str, str] = setting(
        Strmap(
            'a table such as { x-shop = "1" }',
            Text(empty=True, check=check_header_value),
            key_pattern=HEADER_PATTERN,
            check=_check_rule_name,
            numbers=True,
        ),
        "Headers with their values, instead of those of that name that are there.",
        default=NOTHING,
        example={"x-shop": "1"},
        also=("replace", "overwrite"),
    )
    add: Mapping[str, str] = setting(
        Strmap(
            'a table such as { x-shop = "1" }',
            Text(empty=True, check=check_header_value),
            key_pattern=HEADER_PATTERN,
            check=_check_rule_name,
            numbers=True,
        ),
        "Headers with their values, beside those that are there.",
        default=NOTHING,
        example={"x-shop": "1"},
        also=("append", "insert"),
    )
    remove: tuple[str, ...] = setting(
        Strings(
            'a list such as ["x-debug"]',
            Text("a header's name", check=_check_rule_name, pattern=HEADER_PATTERN),
            alone=True,
        ),
        "Headers that are taken out.",
        default=(),
        example=["x-debug"],
        also=("delete", "del", "unset", "hide"),
    )


class RouteTimeouts(Record):
    """What differs from the upstream's `timeout`; None: nothing does. `over` gives what holds."""

    connect_s: float | None = setting(
        Duration(0, 86400, optional=True, zero_word=NONE),
        "For a connection, TLS included.",
        default=None,
        example="1s",
    )
    try_s: float | None = setting(
        Duration(0, 86400, optional=True, zero_word=NONE),
        "For one try, from the request to the head of the answer.",
        default=None,
        example="2s",
        also=("per_try", "response"),
    )
    idle_s: float | None = setting(
        Duration(0, 86400, optional=True, zero_word=NONE),
        "Without a byte in either direction.",
        default=None,
        example="1m",
    )
    total_s: float | None = setting(
        Duration(0, 86400, optional=True, zero_word=NONE),
        "For the whole, all tries and the waits between them.",
        default=None,
        example="5s",
        also=("request", "timeout", "deadline"),
    )

    def over(self, upstream: Timeouts) -> Timeouts:
        """What holds for a request of this route to an upstream with these."""
        return _over(self, upstream)


class RouteRetry(Record):
    """What differs from the upstream's `retry`; None: nothing does. `over` gives what holds."""

    attempts: int | None = setting(
        Whole(0, 10, optional=True),
        "Further tries after the first; 0: none.",
        default=None,
        example=2,
        also=("retries", "num_retries", "count", "max", "tries"),
    )
    on: tuple[str, ...] | None = setting(
        Strings(
            'a list such as ["connect", "reset", "unavailable"]',
            Choice(RETRY_CONDITIONS, RETRY_SPELLINGS),
            alone=True,
            optional=True,
        ),
        "After what.",
        default=None,
        example=["connect", "reset", "unavailable"],
        also=("retry_on", "conditions", "when"),
    )
    unsafe: bool | None = setting(
        Flag(optional=True),
        "Repeat what may have taken effect as well.",
        default=None,
        example=True,
        also=("non_idempotent", "all_methods", "post"),
    )
    initial_s: float | None = setting(
        Duration(0, 60, optional=True),
        "Wait before the first repeated try.",
        default=None,
        example="25ms",
        also=("backoff", "base_interval", "delay"),
    )
    max_s: float | None = setting(
        Duration(0, 60, optional=True),
        "The wait grows up to this.",
        default=None,
        example="250ms",
        also=("max_interval", "max_backoff"),
    )
    retry_after_s: float | None = setting(
        Duration(0, 60, optional=True),
        "A `Retry-After` up to this is waited for.",
        default=None,
        example="1s",
        also=("max_retry_after",),
    )

    def over(self, upstream: Retry) -> Retry:
        """What holds for a request of this route to an upstream with these. The budget is always the upstream's."""
        return _over(self, upstream)


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


def _over(changes: Record, base: R) -> R:
    given = {
        member.attribute: getattr(changes, member.attribute)
        for member in changes.members
        if getattr(changes, member.attribute) is not None
    }
    return base.replace(**given) if given else base
