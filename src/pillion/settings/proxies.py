"""What a user can say about a managed proxy: from which templates its configuration comes, who runs it, and how a change is brought to
it."""

from __future__ import annotations

from pillion.settings.kinds import Choice, Flag, Text, Whole
from pillion.settings.limits import Limits
from pillion.settings.names import check_name
from pillion.settings.quantities import Duration, Percentage
from pillion.settings.record import NOTHING, Record, setting
from pillion.settings.shapes import Command, Strmap, Table
from pillion.settings.values import NO_VALUES, Values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PROXY_KINDS = ("nginx", "haproxy")
MAIN_FILES = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}
"""The file of each kind that the program itself is started with."""
SHIPPED = "pillion:"
"""What a template's name begins with when Pillion brings it along."""
MOST_PROXIES = 16

# The sockets of an instance bear it in their paths, which the kernel bounds at 107 bytes (unix(7)).
_MOST_NAME = 32
_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$"
_FILE_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$"
_FILE_REST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def _check_proxy_name(text: str) -> None:
    check_name(text)
    if len(text) > _MOST_NAME:
        raise ValueError(f"longer than {_MOST_NAME} characters")


def check_file_name(text: str) -> None:
    """Raise ValueError unless `text` can name a file beside the main one: no directory, and none that is hidden."""
    if "/" in text:
        raise ValueError("the name of a file beside the main one, without /")
    if not text or text[0] in ".-" or not _FILE_REST.issuperset(text) or len(text) > 100:
        raise ValueError(
            "a file's name is letters, digits, dots, hyphens and underscores, and begins with no dot"
        )


def check_template(text: str) -> None:
    """Raise ValueError for what can be neither a file's path nor the name of a shipped template."""
    if text.startswith(SHIPPED):
        check_name(text.removeprefix(SHIPPED))


def _template(expected: str) -> Text:
    return Text(expected, check=check_template)


class Wait(Record):
    """How changes are gathered: applied once nothing has changed for `min`, and `max` after the first one in any case."""

    min_s: float = setting(
        Duration(0, 3600),
        "After a change this long is waited for the next one.",
        default=0.2,
        also=("minimum", "quiet", "debounce", "delay"),
    )
    max_s: float = setting(
        Duration(0, 3600),
        "A change is applied this long after it at the latest, however many follow.",
        default=2.0,
        also=("maximum", "limit", "latest"),
    )


class Guard(Record):
    """What of a source is not believed at once."""

    empty: bool = setting(
        Flag(),
        "Whether a service that loses its last member is kept as it was.",
        default=True,
        also=("refuse_empty", "on_empty", "keep_last"),
    )
    share: float = setting(
        Percentage(),
        'A service that loses more than this share of its members at once, and has fewer left than it lost, is kept as it was; "0%": '
        "that is believed.",
        default=0.5,
        also=("loss", "max_loss", "most", "threshold"),
    )
    hold_s: float = setting(
        Duration(0, 7 * 86400.0, zero_word="never"),
        'When the source says the same for this long, it is believed after all; "never": by hand alone.',
        default=30.0,
        also=("after", "wait", "believe_after", "timeout"),
    )


class ManagedProxy(Record):
    """An NGINX or HAProxy whose configuration Pillion writes."""

    name: str = setting(
        Text('a name such as "edge"', check=_check_proxy_name, pattern=_NAME_PATTERN),
        "Its name as a component, in events and in commands.",
        default="",
        required=True,
        example="edge",
        also=("id", "proxy"),
    )
    kind: str = setting(
        Choice(PROXY_KINDS),
        "Which program it is.",
        default="nginx",
        required=True,
        example="haproxy",
        also=("type", "program", "software", "flavour", "flavor"),
    )
    template: str = setting(
        _template('a file\'s path, or "pillion:" with the name of a shipped template'),
        "The template of its main file, in Jinja2; a relative path begins where `pillion run` was started.",
        default="",
        required=True,
        example="haproxy.cfg.j2",
        also=("config", "src", "source", "main", "templates"),
    )
    files: Mapping[str, str] = setting(
        Strmap(
            'a table such as { "blocked.map" = "blocked.map.j2" }',
            _template('a file\'s path, or "pillion:" with the name of a shipped template'),
            key_pattern=_FILE_PATTERN,
            check=check_file_name,
        ),
        "Further files beside the main one, each with its template.",
        default=NOTHING,
        example={"blocked.map": "blocked.map.j2"},
        also=("file", "includes", "parts", "extra"),
    )
    values: Mapping[str, object] = setting(
        Values('a table such as { server_name = "shop.example" }'),
        "What the templates have as `values`.",
        default=NO_VALUES,
        example={"server_name": "shop.example"},
        also=("vars", "variables", "data", "context", "params", "parameters"),
    )
    run: str = setting(
        Choice(("keeper", "other")),
        'Who runs it: the "keeper", as a component of this instance, or an "other", such as systemd; the files are then put into '
        "`directory`, and `pid_file`, `reload` or `master` says how it is told.",
        default="keeper",
        also=("runner", "managed_by", "supervisor", "owner"),
    )
    directory: str | None = setting(
        Text("a directory", optional=True),
        'Where its files are, with `run = "other"`; the keeper\'s own have a place in the state directory.',
        default=None,
        example="/etc/haproxy",
        also=("dir", "path", "conf_dir", "destination", "dest"),
    )
    binary: str | None = setting(
        Text("a program's name or path", optional=True),
        "The program that runs and checks the configuration; without it, `nginx` or `haproxy` as it is found.",
        default=None,
        example="/usr/sbin/haproxy",
        also=("command", "exec", "executable", "bin"),
    )
    pid_file: str | None = setting(
        Text("a file's path", optional=True),
        'With `run = "other"`: the file with the process id of its master, which is sent the signal to load; the process is looked at '
        "first.",
        default=None,
        example="/run/nginx.pid",
        also=("pid", "pidfile"),
    )
    reload: tuple[str, ...] = setting(
        Command(),
        'With `run = "other"`: the command that has it load its files.',
        default=(),
        example=["systemctl", "reload", "haproxy"],
        also=("reload_command", "reload_cmd", "on_change"),
    )
    master: str | None = setting(
        Text("a socket's path or host:port", optional=True),
        'With `run = "other"`: the address of the HAProxy master\'s command line (`haproxy -W -S`).',
        default=None,
        example="/run/haproxy-master.sock",
        also=("master_socket", "master_cli"),
    )
    socket: str | None = setting(
        Text("a socket's path or host:port", optional=True),
        'With `run = "other"`: the address of HAProxy\'s runtime API (`stats socket`, level admin).',
        default=None,
        example="/run/haproxy/admin.sock",
        also=("admin", "stats", "stats_socket", "admin_socket", "runtime_api"),
    )
    wait: Wait = setting(
        Table(Wait()),
        "How long changes are gathered.",
        default=Wait(),
        also=("gather", "debounce", "throttle"),
    )
    guard: Guard = setting(
        Table(Guard()),
        "What of a source is not believed at once.",
        default=Guard(),
        also=("protection", "safety", "safeguard"),
    )
    prove: bool = setting(
        Flag(),
        "Ask the running proxy for its version after each load, and go back when it is another; the template needs `proof()` for it.",
        default=True,
        also=("probe", "verify", "proof"),
    )
    prove_timeout_s: float = setting(
        Duration(0.1, 300),
        "How long the new version may take to be the one that answers.",
        default=5.0,
        also=("proof_timeout", "verify_timeout"),
    )
    retry_initial_s: float = setting(
        Duration(0.1, 3600),
        "Wait before what failed for a reason that may pass is tried again, varied at random; it doubles with each.",
        default=1.0,
        also=("retry", "backoff", "retry_delay"),
    )
    retry_max_s: float = setting(
        Duration(0.1, 86400),
        "The longest such wait.",
        default=60.0,
        also=("max_backoff", "retry_limit"),
    )
    correct: bool = setting(
        Flag(),
        "Whether a file that someone else has edited is put right; without it, that is reported.",
        default=False,
        also=("enforce", "overwrite", "fix", "revert"),
    )
    history: int = setting(
        Whole(2, 1000),
        "How many versions are kept.",
        default=20,
        also=("versions", "keep", "revisions"),
    )
    drain_s: float = setting(
        Duration(1, 86400),
        "How long workers of an earlier version may take to finish (`worker_shutdown_timeout`, `hard-stop-after`).",
        default=30.0,
        also=("worker_shutdown_timeout", "hard_stop_after", "old_workers_timeout"),
    )
    old_workers: int = setting(
        Whole(1, 100),
        "How many loads may have workers left that have not finished; a further one waits.",
        default=4,
        also=("max_old_workers", "max_workers", "mworker_max_reloads"),
    )
    runtime_changes: bool = setting(
        Flag(),
        "Whether HAProxy takes changes of members without a reload, by its runtime API.",
        default=True,
        also=("runtime", "dynamic", "runtime_api_changes"),
    )
    stop_timeout_s: float = setting(
        Duration(0, 86400),
        "How long it may take to finish its connections when the instance stops, before it is killed.",
        default=10.0,
        also=("grace", "grace_period", "timeout_stop", "kill_timeout"),
    )
    limits: Limits = setting(
        Table(Limits()),
        "Upper bounds of the proxy.",
        default=Limits(),
        also=("limit", "resources"),
    )

    @property
    def old_workers_s(self) -> float:
        """Seconds that workers of an earlier version may take to finish."""
        return self.drain_s

    @property
    def main_file(self) -> str:
        """The name of the file that the program is started with."""
        return MAIN_FILES[self.kind]

    @property
    def program(self) -> str:
        """The program to run: a path, or a name that is looked for."""
        return self.binary or self.kind
