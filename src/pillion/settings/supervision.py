"""What a user can say about how the app is watched: when it is ready, hung, and started again."""

from pillion.settings.kinds import Choice, Flag, Number, Whole
from pillion.settings.quantities import Duration, Percentage
from pillion.settings.record import Record, setting
from pillion.settings.references import Endpoint, HttpTarget
from pillion.settings.shapes import Command

RESTART_POLICIES = ("never", "on-failure", "always")


class Restart(Record):
    """When the app is started again, and how long to wait before."""

    policy: str = setting(
        Choice(RESTART_POLICIES, {"no": "never", "onfailure": "on-failure"}),
        'When the app has ended: "never" start it again, so that `pillion run` ends with its exit code; "on-failure", after a code '
        'other than 0 or a signal; "always".',
        default="never",
    )
    initial_s: float = setting(Duration(0.001), "Wait before the first restart.", default=1.0)
    max_s: float = setting(Duration(0.001), "The wait grows up to this.", default=30.0)
    factor: float = setting(Number(1, 10), "By what the wait grows with each restart.", default=2.0)
    jitter: float = setting(
        Percentage(),
        "The wait is varied by this much, so that many instances do not start at once.",
        default=0.2,
    )
    limit: int = setting(
        Whole(1, 100000),
        "Restarts without a healthy run between after which the app is given up; its state is then failed.",
        default=10,
    )
    reset_after_s: float = setting(
        Duration(0.001),
        "A run of this length is healthy: the wait begins anew at `initial`, and restarts are counted from one.",
        default=60.0,
    )


class Ready(Record):
    """How it is found out that the app is ready. Exactly one of http, tcp, exec and notify."""

    http: str | None = setting(
        HttpTarget(),
        "Ready when this answers with 2xx or 3xx: a path on `app.port`, or a URL.",
        default=None,
        restart="app",
        example="/healthz",
    )
    tcp: str | None = setting(
        Endpoint(),
        "Ready when a connection to this is accepted.",
        default=None,
        restart="app",
        example="127.0.0.1:3000",
    )
    exec: tuple[str, ...] = setting(
        Command(),
        "Ready when this command ends with code 0.",
        default=(),
        restart="app",
        example=["pg_isready"],
        also=("command", "cmd"),
    )
    notify: bool = setting(
        Flag(),
        "Ready when the app says READY=1 by the sd_notify protocol.",
        default=False,
        restart="app",
        example=True,
    )
    timeout_s: float = setting(
        Duration(0.01, 300), "How long one attempt may take.", default=1.0, restart="app"
    )
    interval_s: float = setting(
        Duration(0.05, 3600), "Time between attempts.", default=1.0, restart="app", also=("period",)
    )


class Watchdog(Record):
    """What shows that the app hangs. At least one of timeout, memory, descriptors and progress."""

    timeout_s: float | None = setting(
        Duration(0.1, optional=True),
        "Without a WATCHDOG=1 for this long the app counts as hung and is restarted. It learns of it by WATCHDOG_USEC.",
        default=None,
        restart="app",
        example="10s",
        also=("interval", "period", "heartbeat"),
    )
    memory: float | None = setting(
        Percentage(optional=True),
        "With more than this share of its memory limit for `sustained` the app is restarted, before the limit ends it.",
        default=None,
        example="90%",
        also=("memory_ratio", "max_memory"),
    )
    descriptors: float | None = setting(
        Percentage(optional=True),
        "With more than this share of the open files that it may have for `sustained` the app is restarted.",
        default=None,
        example="90%",
        also=("open_files", "files", "fds"),
    )
    sustained_s: float = setting(
        Duration(0, 86400),
        "How long `memory` or `descriptors` must be exceeded.",
        default=60.0,
        also=("for", "duration"),
    )
    progress_s: float | None = setting(
        Duration(1, optional=True),
        "Without using the CPU and without output for this long the app counts as hung. Not for an app that may have nothing to do.",
        default=None,
        example="10m",
        also=("idle", "stalled", "no_progress"),
    )
