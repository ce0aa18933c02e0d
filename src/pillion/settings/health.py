"""What a user can say about health: what is checked, how often, and what follows from it."""

from __future__ import annotations

from pillion.settings.addresses import ENDPOINT_PATTERN, split_address
from pillion.settings.headers import NAME_PATTERN as HEADER_PATTERN
from pillion.settings.headers import check_header_name, check_header_value
from pillion.settings.kinds import Choice, Flag, Text, Whole
from pillion.settings.lean import cast
from pillion.settings.names import NAME_PATTERN, check_name
from pillion.settings.quantities import Duration, Percentage
from pillion.settings.record import NOTHING, Record, setting
from pillion.settings.references import Endpoint, HttpTarget
from pillion.settings.shapes import Command, Strings, Strmap
from pillion.settings.statuses import StatusRange
from pillion.settings.tables import NO_RECORDS, Tablemap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

CHECK_SORTS = ("http", "tcp", "exec", "ttl", "process", "grpc")
"""The sorts of checks: exactly one of them in each."""

APP_PROCESS = "app"


def _check_process(text: str) -> None:
    if text != APP_PROCESS and not text.startswith("/"):
        raise ValueError('neither "app" nor the absolute path of a pid file')


class GrpcTarget(Endpoint):
    """Whom to ask by the standard health protocol of gRPC: `host:port`, or `host:port/Service` for one service."""

    def __init__(self) -> None:
        super().__init__(
            'host:port such as "127.0.0.1:50051", with /Service for one service of it',
            check=_check_grpc,
            pattern=ENDPOINT_PATTERN.removesuffix("$") + r"(/[A-Za-z0-9_.]+)?$",
        )


def _check_grpc(text: str) -> None:
    address, slash, service = text.partition("/")
    if split_address(address).port == 0:
        raise ValueError("port 0 cannot be connected to")
    word = service.replace("_", "a").replace(".", "a")
    if slash and not (word.isascii() and word.isalnum()):
        raise ValueError("after the / comes the name of a service, such as shop.v1.Orders")


class Check(Record):
    """One check. Exactly one of http, tcp, exec, ttl, process and grpc says what is checked."""

    http: str | None = setting(
        HttpTarget(),
        "Passes when this answers with one of `status`: a path on `app.port`, or a URL.",
        default=None,
        example="/healthz",
        also=("url", "path", "https"),
    )
    tcp: str | None = setting(
        Endpoint(),
        "Passes when a connection to this is accepted.",
        default=None,
        example="127.0.0.1:5432",
        also=("address", "host", "connect"),
    )
    exec: tuple[str, ...] = setting(
        Command(),
        "Passes when this command ends with code 0.",
        default=(),
        example=["pg_isready"],
        also=("command", "cmd", "script", "args"),
    )
    ttl_s: float | None = setting(
        Duration(0.1, optional=True),
        "Passes for this long after somebody has said so: `POST /v1/health/checks/NAME/pass`.",
        default=None,
        example="30s",
    )
    process: str | None = setting(
        Text(
            '"app", or the absolute path of a pid file',
            check=_check_process,
            pattern="^(app$|/)",
            optional=True,
        ),
        'Passes while this process runs: "app", or the one that a pid file names.',
        default=None,
        example="app",
        also=("pid", "pidfile", "pid_file"),
    )
    grpc: str | None = setting(
        GrpcTarget(),
        "Passes when this answers SERVING by the standard health protocol of gRPC.",
        default=None,
        example="127.0.0.1:50051",
    )
    kind: str = setting(
        Choice(
            ("readiness", "liveness", "startup"),
            {"ready": "readiness", "live": "liveness", "start-up": "startup"},
        ),
        'What it tells: "readiness", whether the app can be given work; "liveness", whether it is worth keeping; "startup", '
        "whether it has come up, before which the others do not count.",
        default="readiness",
        also=("type", "probe"),
    )
    interval_s: float = setting(
        Duration(0.1, 86400),
        "Time between two attempts.",
        default=10.0,
        also=("period", "every", "period_seconds"),
    )
    timeout_s: float = setting(
        Duration(0.01, 3600), "How long one attempt may take.", default=1.0, also=("deadline",)
    )
    rise: int = setting(
        Whole(1, 1000),
        "Successes in a row after which it passes.",
        default=1,
        also=("success_threshold", "passes", "healthy_threshold", "success_before_passing"),
    )
    fall: int = setting(
        Whole(1, 1000),
        "Failures in a row after which it fails.",
        default=3,
        also=(
            "failure_threshold",
            "failures",
            "retries",
            "unhealthy_threshold",
            "failures_before_critical",
        ),
    )
    jitter: float = setting(
        Percentage(),
        "The interval is varied by this much, so that many instances do not ask at once.",
        default=0.1,
    )
    grace_s: float = setting(
        Duration(0, 86400),
        "After the app's start failures do not count for this long, unless it has passed before.",
        default=0.0,
        also=("start_period", "initial_delay", "start_grace", "initial_delay_seconds"),
    )
    restart: bool = setting(
        Flag(),
        'Start the app anew when it fails; for kind = "liveness" alone.',
        default=False,
        also=("restart_app", "kill"),
    )
    method: str = setting(
        Choice(("GET", "HEAD", "POST", "OPTIONS")),
        "The method of an http check.",
        default="GET",
        also=("verb",),
    )
    headers: Mapping[str, str] = setting(
        Strmap(
            'a table such as { host = "shop.example" }',
            Text(empty=True, check=check_header_value),
            key_pattern=HEADER_PATTERN,
            check=check_header_name,
        ),
        "Headers of an http check.",
        default=NOTHING,
        example={"host": "shop.example"},
        also=("header",),
    )
    status: tuple[str, ...] = setting(
        Strings('a list such as ["200-299", "404"]', StatusRange()),
        "With which answers an http check passes.",
        default=("200-399",),
        also=("statuses", "codes", "expect", "expected_status"),
    )


class Health(Record):
    """What is checked, besides that the app runs and says what it says."""

    checks: Mapping[str, Check] = setting(
        Tablemap(Check(), sample="db", check=check_name, key_pattern=NAME_PATTERN),
        "What is checked, each under a name of its own. More can be registered while it runs.",
        default=cast("Mapping[str, Check]", NO_RECORDS),
        also=("check", "probes"),
    )
