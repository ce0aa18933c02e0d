"""What a user can say about the app: how it is started, restarted, watched and limited."""

from __future__ import annotations

from pillion.settings.kinds import Choice, Text, Whole
from pillion.settings.limits import Limits
from pillion.settings.names import name_text
from pillion.settings.quantities import Duration
from pillion.settings.record import INSTANCE, NOTHING, Record, setting
from pillion.settings.references import Account
from pillion.settings.shapes import Command, Strmap, Table
from pillion.settings.supervision import Ready, Restart, Watchdog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNALS = ("TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL", "ABRT", "WINCH")


def check_variable(text: str) -> None:
    """Raise ValueError unless `text` can name an environment variable."""
    if not text or "=" in text or "\0" in text:
        raise ValueError("a variable's name is not empty and has no = in it")


class App(Record):
    """The program that has the sidecar."""

    name: str = setting(
        name_text('a name such as "shop"'),
        "The service's name, and the instance's unless `pillion run --name` gives it another; without it, the command's own name.",
        default="",
        restart=INSTANCE,
        example="shop",
    )
    command: tuple[str, ...] = setting(
        Command(),
        "What to run when `pillion run` is given no command: a list, or a string that is split into words as a shell would. "
        "No shell is started.",
        default=(),
        restart="app",
        example=["node", "server.js"],
        also=("cmd", "exec", "run", "start"),
    )
    port: int | None = setting(
        Whole(1, 65535, "a port from 1 to 65535", optional=True),
        "Where the app listens.",
        default=None,
        restart="app",
        example=3000,
    )
    workdir: str | None = setting(
        Text("a directory", optional=True),
        "The app's working directory; without it, the one in which `pillion run` was started.",
        default=None,
        restart="app",
        example="/srv/shop",
        also=("cwd", "dir", "directory", "working_directory", "chdir"),
    )
    env: Mapping[str, str] = setting(
        Strmap(
            'a table such as { NODE_ENV = "production" }',
            Text(empty=True),
            key_pattern="^[^=\\u0000]+$",
            check=check_variable,
            numbers=True,
        ),
        "Environment variables for the app, beside those that `pillion run` has.",
        default=NOTHING,
        restart="app",
        example={"NODE_ENV": "production"},
        also=("environment", "envs", "vars"),
    )
    user: str | None = setting(
        Account("user"),
        "Run the app as this user; needs root.",
        default=None,
        restart="app",
        example="www-data",
        also=("uid",),
    )
    group: str | None = setting(
        Account("group"),
        "Run the app with this group; without it, the user's own.",
        default=None,
        restart="app",
        example="www-data",
        also=("gid",),
    )
    restart: Restart = setting(
        Table(Restart(), shorthand="policy"),
        "When the app is started again: a policy alone, or a table.",
        default=Restart(),
    )
    stop_timeout_s: float = setting(
        Duration(0, 86400),
        "How long the app may take to stop before it is killed.",
        default=10.0,
        also=(
            "timeout_stop",
            "grace",
            "grace_period",
            "stop_grace_period",
            "shutdown_timeout",
            "kill_timeout",
        ),
    )
    stop_signal: str = setting(
        Choice(SIGNALS, {f"SIG{name}": name for name in SIGNALS}),
        "The signal that asks the app to stop.",
        default="TERM",
        also=("signal",),
    )
    ready: Ready | None = setting(
        Table(Ready(), optional=True),
        "How it is found out that the app is ready; without it, it is when it runs.",
        default=None,
        restart="app",
        also=("readiness", "health", "healthcheck", "probe"),
    )
    watchdog: Watchdog | None = setting(
        Table(Watchdog(), optional=True),
        "A dead man's switch for the app; without it, none.",
        default=None,
        restart="app",
    )
    limits: Limits = setting(
        Table(Limits()), "Upper bounds of the app.", default=Limits(), also=("limit", "resources")
    )
    on_keeper_death: str = setting(
        Choice(("stop", "leave")),
        'When the keeper is killed: "stop" the app, or "leave" it running until it ends by itself.',
        default="stop",
        restart=INSTANCE,
    )
