"""What a keeper has to know before it starts anything: the plan, and what it is without a settings file.

The tower compiles settings into the same shape (`pillion.lifecycle.plan`); a contract test holds the two together.
All names carry their units. JSON values only, since a plan crosses a pipe and an execve.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NotRequired, TypedDict

    class RestartPlan(TypedDict):
        """`policy` is never, on-failure or always; `limit` counts restarts without a healthy run between; 0 is no limit."""

        policy: str
        initial_s: float
        max_s: float
        factor: float
        jitter: float
        limit: int
        reset_after_s: float

    class LimitsPlan(TypedDict, total=False):
        """Bytes, cores, counts; a missing key is no limit."""

        memory: int | None
        cpu: float | None
        processes: int | None
        open_files: int | None

    class AppPlan(TypedDict):
        """The app. `service` is its name as telemetry and others know it. `ready` is None (at once) or names how: `{"notify": true}`; the agent reports the other kinds."""

        name: str
        service: NotRequired[str]
        command: list[str]
        workdir: str | None
        env: dict[str, str]
        user: str | None
        group: str | None
        restart: RestartPlan
        stop_signal: str
        stop_timeout_s: float
        ready: dict[str, object] | None
        watchdog_timeout_s: float | None
        limits: LimitsPlan
        on_keeper_death: str

    class SidecarPlan(TypedDict):
        """A process of the sidecar. `wait_s` and `required` are the agent's: how long the app is held for the sidecar."""

        enabled: bool
        heartbeat_s: float
        heartbeat_misses: int
        ready_timeout_s: float
        drain_s: float
        stop_timeout_s: float
        limits: LimitsPlan
        wait_s: NotRequired[float]
        required: NotRequired[bool]

    class ListenerPlan(TypedDict):
        """`listen` is `host:port`, with port 0 for a free one; `protocol` is http or tcp."""

        listen: str
        protocol: str

    class ProxyPlan(TypedDict):
        """A managed proxy that we run. In `command` and `room` `{conf}`, `{state}` and `{runtime}` are directories of the instance's;
        `room` is where it is started, a directory that we make (None: where we were), `listeners` are bound by us and handed to it.
        """

        command: list[str]
        limits: LimitsPlan
        stop_signal: str
        stop_timeout_s: float
        room: NotRequired[str | None]
        listeners: dict[str, ListenerPlan]

    class AmbassadorPlan(SidecarPlan):
        """`workers` processes share the `listeners`: `upstream:<name>`, `proxy`, `inbound`. `proxy_env`: the app's proxy variables lead to it."""

        workers: int
        listeners: dict[str, ListenerPlan]
        proxy_env: bool
        proxy_credentials: bool

    class StreamPlan(TypedDict):
        """`full` is drop_oldest, drop_newest or block."""

        full: str
        pty: bool
        mirror: bool

    class LogsPlan(TypedDict):
        """Quota of the spool over all runs, the ring of each stream, and a plan for stdout and for stderr."""

        spool_bytes: int
        spool_age_s: float
        ring_bytes: int
        streams: dict[str, StreamPlan]

    class ApiPlan(TypedDict):
        """Addresses `host:port` to bind; None binds none."""

        listen: str | None
        probe_listen: str | None

    class Plan(TypedDict):
        """Everything the keeper is told. `secret_env` names variables that the sidecar's processes do not inherit.

        `ambassador` is there only when one is used, and `proxies`, by their names, where there is one that we run.
        """

        v: int
        settings_file: str | None
        app: AppPlan
        agent: SidecarPlan
        shipper: SidecarPlan
        ambassador: NotRequired[AmbassadorPlan]
        proxies: NotRequired[dict[str, ProxyPlan]]
        logs: LogsPlan
        api: ApiPlan
        secret_env: NotRequired[list[str]]


VERSION = 1


def default_plan(command: list[str], name: str) -> Plan:
    """Return the plan for `pillion run -- COMMAND` without a settings file."""
    return {
        "v": VERSION,
        "settings_file": None,
        "app": {
            "name": name,
            "service": name,
            "command": command,
            "workdir": None,
            "env": {},
            "user": None,
            "group": None,
            "restart": {
                "policy": "never",
                "initial_s": 1.0,
                "max_s": 30.0,
                "factor": 2.0,
                "jitter": 0.2,
                "limit": 10,
                "reset_after_s": 60.0,
            },
            "stop_signal": "TERM",
            "stop_timeout_s": 10.0,
            "ready": None,
            "watchdog_timeout_s": None,
            "limits": {},
            "on_keeper_death": "stop",
        },
        "agent": {**_sidecar(), "wait_s": 10.0, "required": False},
        # There is nowhere to ship to until settings say so.
        "shipper": {**_sidecar(), "enabled": False},
        "logs": {
            "spool_bytes": 256 << 20,
            "spool_age_s": 86400.0,
            "ring_bytes": 16 << 20,
            "streams": {"stdout": _stream(), "stderr": _stream()},
        },
        "api": {"listen": "127.0.0.1:0", "probe_listen": None},
        "secret_env": [],
    }


def _sidecar() -> SidecarPlan:
    return {
        "enabled": True,
        "heartbeat_s": 12.0,
        "heartbeat_misses": 2,
        "ready_timeout_s": 10.0,
        "drain_s": 10.0,
        "stop_timeout_s": 5.0,
        "limits": {"memory": 128 << 20},
    }


def _stream() -> StreamPlan:
    return {"full": "drop_oldest", "pty": False, "mirror": True}
