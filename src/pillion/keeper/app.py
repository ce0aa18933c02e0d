"""How the app is started: unchanged, with the environment in which it finds its sidecar, and the terminal when there is one."""

from __future__ import annotations

import os

from . import places
from .launch import Launch, lookup_ids
from .lean import signal_number
from .tree import MARK, ROLE_MARK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .cgroups import Group
    from .instance import Instance
    from .output import Stream
    from .plan import Plan
    from .wire import Json

# What was said to us and not to those below us: the service manager's notify socket and watchdog, and our own marks.
_NOT_INHERITED = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    ROLE_MARK,
)
_FIRST_LISTEN_FD = 3

ENVIRONMENT_BYTES = 64 << 10
"""Of names and values together, that the agent may add: far below what execve(2) takes, and it crosses a message."""


def passed_sockets(environ: dict[str, str], pid: int) -> int:
    """Return how many descriptors from 3 on the service manager passed to us (sd_listen_fds(3)), 0 for none."""
    count = environ.get("LISTEN_FDS", "")
    return int(count) if environ.get("LISTEN_PID") == str(pid) and count.isdigit() else 0


def foreground_terminal() -> int:
    """Return the descriptor of the terminal when we are in its foreground, else -1."""
    try:
        if os.tcgetpgrp(0) == os.getpgrp():
            return 0
    except OSError:
        return -1
    return -1


def checked_variables(given: Json) -> dict[str, str]:
    """Return what the agent wants in the app's environment. Raises ValueError, saying why not, when it cannot be there."""
    if not isinstance(given, dict):
        raise ValueError("no variables were given")  # noqa: TRY004 # the caller's mistake, not ours
    found: dict[str, str] = {}
    size = 0
    for name, value in given.items():
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"{name!r} cannot name a variable")
        if not isinstance(value, str) or "\0" in value:
            raise ValueError(f"{name} is no text without NUL characters")
        size += len(os.fsencode(name)) + len(value.encode(errors="surrogateescape")) + 2
        found[name] = value
    if size > ENVIRONMENT_BYTES:
        raise ValueError(f"{size} bytes are more than {ENVIRONMENT_BYTES}")
    return found


def environment(
    plan: Plan,
    instance: Instance,
    outer: dict[str, str],
    listen_fds: int,
    variables: dict[str, str],
) -> dict[str, str]:
    """Return the app's environment: ours, what configuration and settings say, and where its sidecar is."""
    app = plan["app"]
    env = {k: v for k, v in outer.items() if k not in _NOT_INHERITED}
    if listen_fds:
        env["LISTEN_FDS"] = str(listen_fds)
        if "LISTEN_FDNAMES" in outer:
            env["LISTEN_FDNAMES"] = outer["LISTEN_FDNAMES"]
    env["PILLION_INSTANCE"] = instance.name
    env[MARK] = instance.run
    env["PILLION_SOCKET"] = instance.path(places.API_SOCKET)
    if instance.url:
        env["PILLION_URL"] = instance.url
    env["PILLION_TOKEN"] = instance.token
    env["NOTIFY_SOCKET"] = instance.path(places.NOTIFY_SOCKET)
    if app["watchdog_timeout_s"]:
        env["WATCHDOG_USEC"] = str(int(app["watchdog_timeout_s"] * 1_000_000))
    env.setdefault("OTEL_SERVICE_NAME", app.get("service") or app["name"])
    ours = f"service.instance.id={instance.name}.{instance.run},pillion.run={instance.run}"
    given = env.get("OTEL_RESOURCE_ATTRIBUTES")
    env["OTEL_RESOURCE_ATTRIBUTES"] = f"{given},{ours}" if given else ours
    env.update(variables)
    env.update(app["env"])
    if "ambassador" in plan:
        from .listeners import announce

        wanted = {**variables, **app["env"]}
        announce(env, wanted, plan["ambassador"], instance.sockets, instance.proxy_token)
    return env


def app_launch(
    plan: Plan,
    instance: Instance,
    streams: dict[str, Stream],
    group: Group,
    *,
    variables: dict[str, str],
    terminal: int,
    oom_score: str | None,
) -> Launch:
    """Return how to start the app. Raises Failure when the user or group of the settings does not exist."""
    app = plan["app"]
    outer = dict(os.environ)
    listen_fds = passed_sockets(outer, os.getpid())
    passed = {fd: fd for fd in range(_FIRST_LISTEN_FD, _FIRST_LISTEN_FD + listen_fds)}
    fds = {0: 0, 1: streams["stdout"].write, 2: streams["stderr"].write, **passed}
    open_files = app["limits"].get("open_files")
    return Launch(
        app["command"],
        environment(plan, instance, outer, listen_fds, variables),
        fds,
        procs_files=group.procs_files(),
        workdir=app["workdir"],
        ids=lookup_ids(app["user"], app["group"]),
        open_files=open_files if isinstance(open_files, int) else None,
        death_signal=int(stop_signal(app["stop_signal"]))
        if app["on_keeper_death"] == "stop"
        else 0,
        foreground=terminal,
        oom_score=oom_score,
        listen_fds=bool(listen_fds),
    )


def stop_signal(name: str) -> int:
    """Return the signal of a name like TERM or SIGTERM. Raises KeyError."""
    return signal_number(name)
