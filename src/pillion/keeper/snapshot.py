"""A keeper as JSON and back, for its own upgrade: what the next version must be able to read before it may take over.

Descriptors go by number, since execve(2) keeps them; everything else is plain data.
"""

from __future__ import annotations

import os

from .app import checked_variables
from .attach import Adopted
from .cgroups import Groups
from .component import Component, dump_process, load_process
from .instance import Instance
from .keeper import Keeper
from .lean import socket
from .output import Stream, open_stream, stream_names
from .streams import MESSAGES
from .wire import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import notify
    from .plan import LimitsPlan, Plan
    from .wire import Json


VERSION = 1


class Unreadable(Exception):
    """A snapshot that this version cannot take over."""


def dump(keeper: Keeper) -> dict[str, Json]:
    """Return everything that the next version needs."""
    instance, output = keeper.instance, keeper.output
    return {
        "v": VERSION,
        "version": keeper.version,
        "plan": _json(keeper.plan),
        "started": keeper.started,
        "overrides": list(keeper.overrides),
        "app_variables": dict(keeper.app_variables),
        "oom_score": keeper.oom_score,
        "terminal": keeper.terminal.fd,
        "instance": {
            "name": instance.name,
            "run": instance.run,
            "runtime_dir": instance.runtime_dir,
            "state_dir": instance.state_dir,
            "lock": instance.lock,
            "guard": instance.guard,
            "token": instance.token,
            "operator_token": instance.operator_token,
            "proxy_token": instance.proxy_token,
            "sockets": {name: sock.fileno() for name, sock in instance.sockets.items()},
        },
        "streams": {
            s.name: {
                "read": s.read,
                "write": s.write,
                "memory": s.memory,
                "capacity": s.capacity,
                "mirror": s.mirror,
            }
            for s in output.streams.values()
        },
        "groups": keeper.groups.dump(),
        "adopted": None
        if keeper.adopted is None
        else {
            "pid": keeper.adopted.pid,
            "pidfd": keeper.adopted.pidfd,
            "ticks": keeper.adopted.ticks,
        },
        "scribe": {
            "pid": output.pid,
            "channel": output.channel.fileno() if output.channel else -1,
            "restarts": output.restarts,
        },
        "components": {c.name: _dump_component(c) for c in keeper.components.values()},
        "notify": {
            "ready": keeper.notify.ready,
            "reloading": keeper.notify.reloading,
            "stopping": keeper.notify.stopping,
            "status": keeper.notify.status,
            "main_pid": keeper.notify.main_pid,
            "watchdog_s": keeper.notify.watchdog_s,
            "access": keeper.notify.access,
        },
    }


def descriptors(state: dict[str, Json]) -> list[int]:
    """Return every descriptor that a snapshot names: those that must survive the execve, and nothing else may."""
    instance, scribe = _object(state, "instance"), _object(state, "scribe")
    found = [_int(instance, "lock"), _int(instance, "guard"), _int(scribe, "channel")]
    found += [int(str(fd)) for fd in _object(instance, "sockets").values()]
    for stream in _object(state, "streams").values():
        assert isinstance(stream, dict)
        found += [_int(stream, key) for key in ("read", "write", "memory")]
    for data in _object(state, "components").values():
        process = data.get("process") if isinstance(data, dict) else None
        if isinstance(process, dict):
            found += [_int(process, key) for key in ("channel", "report", "oom_fd")]
    adopted = state["adopted"]
    if isinstance(adopted, dict):
        found.append(_int(adopted, "pidfd"))
    return [fd for fd in found if fd >= 0]


def load(state: dict[str, Json]) -> Keeper:
    """Return a keeper that stands where the dumped one stood, without having touched anything yet. Raises Unreadable."""
    check(state)
    try:
        return _load(state)
    except (KeyError, ValueError, TypeError, AssertionError, OSError) as error:
        raise Unreadable(
            f"cannot take over: the running keeper's state does not fit: {error!r}"
        ) from error


def _load(state: dict[str, Json]) -> Keeper:
    about = _object(state, "instance")
    instance = Instance(
        str(about["name"]),
        str(about["run"]),
        str(about["runtime_dir"]),
        str(about["state_dir"]),
        _int(about, "lock"),
    )
    instance.guard = _int(about, "guard")
    instance.token, instance.operator_token = str(about["token"]), str(about["operator_token"])
    # Keepers before the ambassador have none.
    instance.proxy_token = str(about.get("proxy_token", ""))
    instance.sockets = {
        name: socket.socket(fileno=int(str(fd))) for name, fd in _object(about, "sockets").items()
    }
    streams = {}
    for name, s in _object(state, "streams").items():
        assert isinstance(s, dict)
        streams[name] = Stream(
            name,
            _int(s, "read"),
            _int(s, "write"),
            _int(s, "memory"),
            _int(s, "capacity"),
            mirror=bool(s["mirror"]),
        )
    plan = _plan(state)
    # Keepers before a stream was there have none to hand on.
    missing = [n for n in stream_names(plan) if n in MESSAGES and n not in streams]
    for name in missing:
        streams[name] = open_stream(name, plan["logs"])
    keeper = Keeper(plan, instance, streams, Groups.load(_object(state, "groups")))
    keeper.started = str(state["started"])
    overrides = state["overrides"]
    keeper.overrides = [str(o) for o in overrides] if isinstance(overrides, list) else []
    # Keepers before this call was there have none.
    keeper.app_variables = checked_variables(state.get("app_variables", {}))
    score = state["oom_score"]
    keeper.oom_score = score if isinstance(score, str) else None
    keeper.terminal.fd = _int(state, "terminal")
    adopted = state["adopted"]
    if isinstance(adopted, dict):
        keeper.adopted = Adopted(
            _int(adopted, "pid"), _int(adopted, "pidfd"), _int(adopted, "ticks")
        )
    scribe = _object(state, "scribe")
    keeper.output.outdated = bool(missing)
    keeper.output.pid, keeper.output.restarts = _int(scribe, "pid"), _int(scribe, "restarts")
    if _int(scribe, "channel") >= 0:
        keeper.output.channel = Channel(socket.socket(fileno=_int(scribe, "channel")))
    for name, data in _object(state, "components").items():
        assert isinstance(data, dict)
        _load_component(keeper.components[name], data)
    _load_notify(keeper.notify, _object(state, "notify"))
    return keeper


def check(state: dict[str, Json]) -> None:
    """Look through a snapshot without taking hold of its descriptors. Raises Unreadable."""
    if state.get("v") != VERSION:
        raise Unreadable(
            f"cannot take over: the running keeper speaks version {state.get('v')} of its state, not {VERSION}"
        )
    try:
        for fd in descriptors(state):
            os.fstat(fd)
        for name in ("plan", "instance", "streams", "groups", "scribe", "components", "notify"):
            _object(state, name)
        checked_variables(state.get("app_variables", {}))
        for data in _object(state, "components").values():
            assert isinstance(data, dict)
            _load_component(Component("trial", {}), {**data, "process": None})
    except (KeyError, ValueError, TypeError, AssertionError, OSError) as error:
        raise Unreadable(
            f"cannot take over: the running keeper's state does not fit: {error!r}"
        ) from error


def _dump_component(component: Component) -> dict[str, Json]:
    return {
        "limits": _json(component.limits),
        "state": component.state,
        "process": dump_process(component.process) if component.process else None,
        "generation": component.generation,
        "restarts": component.restarts,
        "failures": component.failures,
        "last_exit": component.last_exit,
        "python": component.python,
        "stop_wanted": component.stop_wanted,
    }


def _load_component(component: Component, data: dict[str, Json]) -> None:
    component.limits = _limits(data)
    component.state = str(data["state"])
    component.generation = _int(data, "generation")
    component.restarts = _int(data, "restarts")
    component.failures = _int(data, "failures")
    last_exit, python = data["last_exit"], data["python"]
    component.last_exit = last_exit if isinstance(last_exit, dict) else None
    component.python = python if isinstance(python, str) else None
    component.stop_wanted = bool(data["stop_wanted"])
    process = data["process"]
    component.process = load_process(process) if isinstance(process, dict) else None


def _load_notify(said: notify.State, data: dict[str, Json]) -> None:
    said.ready, said.reloading, said.stopping = (
        bool(data["ready"]),
        bool(data["reloading"]),
        bool(data["stopping"]),
    )
    said.status = str(data["status"])
    main_pid = data["main_pid"]
    said.main_pid = main_pid if isinstance(main_pid, int) else None
    # Version 0.1 did not tell these.
    watchdog_s, access = data.get("watchdog_s"), data.get("access")
    said.watchdog_s = float(watchdog_s) if isinstance(watchdog_s, (int, float)) else None
    said.access = access if isinstance(access, str) else said.access


def _object(data: dict[str, Json], key: str) -> dict[str, Json]:
    value = data[key]
    if not isinstance(value, dict):
        raise TypeError(f"{key} is no object")
    return value


def _int(data: dict[str, Json], key: str) -> int:
    value = data[key]
    if not isinstance(value, int):
        raise TypeError(f"{key} is no integer")
    return value


# TypedDicts are JSON objects, which their type does not say; what comes back was written by us and is versioned.


def _json(value: Plan | LimitsPlan) -> Json:
    return value  # type: ignore[return-value]


def _plan(state: dict[str, Json]) -> Plan:
    return _object(state, "plan")  # type: ignore[return-value]


def _limits(data: dict[str, Json]) -> LimitsPlan:
    return _object(data, "limits")  # type: ignore[return-value]
