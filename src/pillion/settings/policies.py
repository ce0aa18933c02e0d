"""What a user can say about one call: how long it may take, when it is tried again, when no more is sent, and how much at once."""

from pillion.settings.headers import NAME_PATTERN as HEADER_PATTERN
from pillion.settings.headers import check_header_name
from pillion.settings.kinds import Choice, Flag, Text, Whole
from pillion.settings.quantities import Duration, Percentage, Rate
from pillion.settings.record import Record, setting
from pillion.settings.shapes import Strings

NONE = "none"
_MOST_S = 86_400.0

RETRY_CONDITIONS = ("connect", "reset", "timeout", "unavailable", "gateway", "5xx", "429")
"""After what a request may be tried again: unavailable is 503, gateway 502 and 504."""
BREAKER_CONDITIONS = ("connect", "reset", "timeout", "unavailable", "gateway", "5xx", "429")
"""What counts as a failure of an endpoint."""

RETRY_SPELLINGS = {
    "connect-failure": "connect",
    "refused": "connect",
    "error": "connect",
    "503": "unavailable",
    "retriable-4xx": "429",
    "gateway-error": "gateway",
    "http_503": "unavailable",
    "http_429": "429",
}


class Timeouts(Record):
    """How long the parts of one exchange may take, in seconds; 0: no bound."""

    connect_s: float = setting(
        Duration(0, _MOST_S, zero_word=NONE),
        "For a connection, TLS included.",
        default=1.0,
        also=("connection", "connect_timeout", "dial"),
    )
    try_s: float = setting(
        Duration(0, _MOST_S, zero_word=NONE),
        "For one try, from the request to the head of the answer.",
        default=15.0,
        also=("per_try", "per_try_timeout", "response", "read", "server", "header"),
    )
    idle_s: float = setting(
        Duration(0, _MOST_S, zero_word=NONE),
        "Without a byte in either direction, in a body that streams or in a tunnel.",
        default=60.0,
        also=("stream_idle", "idle_timeout", "inactivity", "tunnel"),
    )
    total_s: float = setting(
        Duration(0, _MOST_S, zero_word=NONE),
        "For the whole, all tries and the waits between them, up to the head of the answer that is passed on.",
        default=30.0,
        also=("request", "timeout", "overall", "deadline", "route"),
    )


class Retry(Record):
    """When a request is tried again. Only what is safe to repeat is: see `unsafe`."""

    attempts: int = setting(
        Whole(0, 10),
        "Further tries after the first; 0: none.",
        default=1,
        also=("retries", "num_retries", "count", "tries", "limit"),
    )
    on: tuple[str, ...] = setting(
        Strings(
            'a list such as ["connect", "reset", "unavailable"]',
            Choice(RETRY_CONDITIONS, RETRY_SPELLINGS),
            alone=True,
        ),
        'After what: "connect", no connection; "reset", one that ended early; "timeout", `timeout.try` was over; "unavailable", 503; '
        '"gateway", 502 and 504; "5xx", any of them; "429".',
        default=("connect", "reset", "unavailable"),
        also=("retry_on", "conditions", "when", "status"),
    )
    unsafe: bool = setting(
        Flag(),
        "Repeat what may have taken effect as well: POST and PATCH after a byte of them was sent.",
        default=False,
        also=("non_idempotent", "all_methods", "post"),
    )
    budget: float = setting(
        Percentage(),
        "Repeated tries are at most this share of the requests, so that retries do not double the load of what is failing.",
        default=0.2,
        also=("budget_percent", "retry_budget", "ratio"),
    )
    budget_minimum: int = setting(
        Whole(0, 100_000),
        "Repeated tries in a second that are allowed in any case.",
        default=3,
        also=("min_retries", "minimum", "min_retry_concurrency"),
    )
    initial_s: float = setting(
        Duration(0, 60),
        "Wait before the first repeated try, varied at random; it doubles with each.",
        default=0.025,
        also=("backoff", "base_interval", "initial_interval", "delay", "base"),
    )
    max_s: float = setting(
        Duration(0, 60),
        "The wait grows up to this.",
        default=0.25,
        also=("max_interval", "max_backoff"),
    )
    retry_after_s: float = setting(
        Duration(0, 60),
        "A `Retry-After` up to this is waited for; a longer one ends the tries.",
        default=1.0,
        also=("max_retry_after",),
    )


class Breaker(Record):
    """When an endpoint is sent nothing for a while. Each endpoint of an upstream has its own."""

    consecutive: int = setting(
        Whole(0, 100_000),
        "Failures in a row that open it; 0: that does not.",
        default=5,
        also=("consecutive_errors", "consecutive_5xx", "failures", "max_fails", "threshold"),
    )
    ratio: float | None = setting(
        Percentage(none_words=("off",)),
        'Share of failures within `window` that opens it; "off": that does not.',
        default=0.5,
        also=("error_rate", "failure_percentage", "percentage", "failure_ratio"),
    )
    window_s: float = setting(
        Duration(1, 3600),
        "The time over which `ratio` is taken.",
        default=10.0,
        also=("interval", "period", "sampling"),
    )
    requests: int = setting(
        Whole(1, 100_000),
        "With fewer requests than this in `window`, `ratio` does not count.",
        default=20,
        also=("minimum", "request_volume", "min_requests", "volume"),
    )
    open_s: float = setting(
        Duration(0.001, 3600),
        "How long it stays open before it lets a trial through; twice as long each time the trial fails.",
        default=10.0,
        also=("base_ejection_time", "ejection", "sleep", "fail_timeout", "recovery", "cooldown"),
    )
    open_max_s: float = setting(
        Duration(0.001, 86400),
        "The time that it stays open grows up to this.",
        default=60.0,
        also=("max_ejection_time", "max_open"),
    )
    trials: int = setting(
        Whole(1, 100),
        "Requests that are let through at once when it is half-open, all of which must succeed.",
        default=1,
        also=("half_open", "probes", "permitted"),
    )
    share: float = setting(
        Percentage(),
        "Of the upstream's endpoints at most this share is open at once; one may be in any case.",
        default=0.5,
        also=("max_ejection_percent", "max_ejection", "max_open_share"),
    )
    on: tuple[str, ...] = setting(
        Strings(
            'a list such as ["connect", "reset", "timeout", "5xx"]',
            Choice(BREAKER_CONDITIONS, RETRY_SPELLINGS),
            alone=True,
        ),
        "What counts as a failure, in the words of `retry.on`. What the client did wrong, a 404 say, does not.",
        default=("connect", "reset", "timeout", "5xx"),
        also=("conditions", "errors", "status"),
    )


class Limit(Record):
    """How much is sent at once, and how often."""

    concurrency: int = setting(
        Whole(0, 1_000_000),
        "Requests under way at once, in each worker; 0: no bound.",
        default=0,
        also=("max_requests", "maxconn", "max_concurrency", "parallel", "max_conns"),
    )
    queue: int = setting(
        Whole(0, 1_000_000),
        "Requests beyond `concurrency` that wait for their turn, and as many for a connection beyond `pool.connections`; any further one is "
        "answered 503 at once.",
        default=0,
        also=("max_pending_requests", "pending", "maxqueue", "backlog"),
    )
    queue_timeout_s: float = setting(
        Duration(0.001, 3600),
        "How long one waits for its turn.",
        default=1.0,
        also=("timeout_queue", "wait", "pending_timeout"),
    )
    rate: float | None = setting(
        Rate(),
        "Requests over time, in each worker; what exceeds it is answered 429.",
        default=None,
        example="200/s",
        also=("rps", "requests_per_second", "rate_limit", "average", "tokens"),
    )
    burst: int = setting(
        Whole(0, 1_000_000),
        "How many may come at once before `rate` holds; 0: as many as it allows in a second, one at least.",
        default=0,
        also=("max_tokens", "bucket"),
    )
    client_rate: float | None = setting(
        Rate(),
        "The same for each client address.",
        default=None,
        example="10/s",
        also=("per_client", "client", "ip_rate", "source_rate"),
    )


class Fault(Record):
    """Faults made on purpose, to see what the app does with them."""

    delay_s: float = setting(
        Duration(0, 3600),
        "How long the request is held before it is sent.",
        default=0.0,
        example="2s",
        also=("fixed_delay", "latency"),
    )
    delay_share: float = setting(
        Percentage(),
        "Of how many requests.",
        default=1.0,
        also=("delay_percent", "delay_percentage", "percentage"),
    )
    abort: int | None = setting(
        Whole(200, 599, "a status from 200 to 599", optional=True),
        "The status with which a request is answered instead of being sent.",
        default=None,
        example=503,
        also=("http_status", "status", "error"),
    )
    abort_share: float = setting(
        Percentage(),
        "How many requests are answered so.",
        default=1.0,
        also=("abort_percent", "abort_percentage"),
    )
    header: str | None = setting(
        Text(
            'the name of a header such as "x-fault"',
            check=check_header_name,
            pattern=HEADER_PATTERN,
            optional=True,
        ),
        "Only for requests that have this header.",
        default=None,
        example="x-fault",
        also=("headers", "when", "if_header"),
    )


NO_RETRY = Retry(attempts=0)
"""What `retry = "off"` means."""
NO_BREAKER = Breaker(consecutive=0, ratio=None)
"""What `breaker = "off"` means."""
