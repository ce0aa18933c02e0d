"""What the keeper knows of a component and of each process that is or was one; data only, with its JSON and its way across an execve."""

from __future__ import annotations

import time

from .cgroups import Group
from .heart import Heart
from .journal import timestamp
from .posix import start_ticks
from .wire import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .hang import Hang
    from .loop import Timer
    from .plan import LimitsPlan
    from .wire import Json

WAITING = "waiting"
STARTING = "starting"
RUNNING = "running"
BACKOFF = "backoff"
STOPPING = "stopping"
STOPPED = "stopped"
FAILED = "failed"

# What a process of the sidecar is there for. A role may have several components, one process each: its workers.
AGENT = "agent"
SHIPPER = "shipper"
AMBASSADOR = "ambassador"
# A program of someone else's that we run beside them; each is a component by a name of the user's.
PROXY = "proxy"


class Process:
    """One process of a component, with the group that it and its children live in."""

    __slots__ = (
        "channel", "group", "hang", "heart", "killed_because", "oom_fd", "oom_seen", "pid", "promoted", "ready", "report",
        "retired", "started", "started_s", "stats", "timers", "version",
    )  # fmt: skip

    def __init__(
        self, pid: int, group: Group, heart: Heart, channel: Channel | None, report: int
    ) -> None:
        self.pid = pid
        self.group = group
        self.heart = heart
        self.channel = channel
        # Reads empty once the exec has succeeded; -1 when that is known.
        self.report = report
        self.started = timestamp()
        self.started_s = time.monotonic()
        self.ready = False
        self.promoted = True
        self.retired: dict[str, Json] | None = None
        self.version: str | None = None
        self.stats: dict[str, Json] = {}
        self.killed_because: str | None = None
        self.hang: Hang | None = None
        self.oom_fd: int | None = None
        self.oom_seen = 0
        self.timers: list[Timer] = []

    def cancel_timers(self) -> None:
        """Drop every deadline of this process."""
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()


class Component:
    """A component: its present process, the one that is to follow it in an upgrade, and those on their way out."""

    __slots__ = (
        "failures", "generation", "last_exit", "leaving", "limits", "name", "process", "python", "restart_timer", "restarts",
        "retiring", "role", "state", "stop_wanted", "successor", "worker",
    )  # fmt: skip

    def __init__(self, name: str, limits: LimitsPlan, *, role: str = "", worker: int = 1) -> None:
        self.name = name
        self.role = role or name
        self.worker = worker
        self.limits = limits
        self.state = WAITING
        self.process: Process | None = None
        self.successor: Process | None = None
        self.retiring: list[Process] = []
        self.generation = 0
        self.restarts = 0
        self.failures = 0
        self.last_exit: dict[str, Json] | None = None
        # Interpreter of an upgrade; None is our own.
        self.python: str | None = None
        self.stop_wanted = False
        # The plan has it no more: when its process has ended it is forgotten.
        self.leaving = False
        self.restart_timer: Timer | None = None

    def processes(self) -> list[Process]:
        """Return every process that is or may still be alive."""
        return [p for p in (self.process, self.successor, *self.retiring) if p is not None]

    def view(self) -> dict[str, Json]:
        """Return the component as ARCHITECTURE.md describes it."""
        process = self.process
        usage: dict[str, Json] = {}
        if process is not None:
            group = process.group
            counted = {
                "memory": group.memory(),
                "memory_peak": group.memory_peak(),
                "cpu_s": group.cpu_s(),
                "processes": len(group.pids()) if group.tracked else None,
            }
            usage = {key: value for key, value in counted.items() if value is not None}
        return {
            "name": self.name,
            "state": self.state,
            "pid": process.pid if process else None,
            "started": process.started if process else None,
            "restarts": self.restarts,
            "ready": bool(process and process.ready),
            "version": process.version if process else None,
            "limits": {k: v for k, v in self.limits.items() if isinstance(v, (int, float))},
            "limits_by": process.group.means if process else None,
            "usage": usage,
            "last_exit": self.last_exit,
            "stats": process.stats if process else {},
        }


def dump_process(process: Process) -> dict[str, Json]:
    """Return a process as JSON values; descriptors by number, since an execve keeps them."""
    return {
        "pid": process.pid,
        "start_ticks": start_ticks(process.pid),
        "group": process.group.dump(),
        "heart": [process.heart.limit, process.heart.misses],
        "heart_s": [process.heart.first_s, process.heart.tick_s],
        "channel": process.channel.fileno() if process.channel else -1,
        "report": process.report,
        "started": process.started,
        "started_s": process.started_s,
        "ready": process.ready,
        "killed_because": process.killed_because,
        "version": process.version,
        "stats": process.stats,
        "oom_fd": -1 if process.oom_fd is None else process.oom_fd,
        "oom_seen": process.oom_seen,
    }


def load_process(data: dict[str, Json]) -> Process:
    """Return the process that `dump_process` described."""
    from .lean import socket

    group, heart, fd = data["group"], data["heart"], data["channel"]
    assert isinstance(group, dict)
    assert isinstance(heart, list)
    assert isinstance(fd, int)
    channel = Channel(socket.socket(fileno=fd)) if fd >= 0 else None
    limit, misses = (int(str(n)) for n in heart)
    process = Process(
        int(str(data["pid"])),
        Group.load(dict(group)),
        _heart(limit, misses, data.get("heart_s")),
        channel,
        int(str(data["report"])),
    )
    process.started = str(data["started"])
    process.started_s = float(str(data["started_s"]))
    process.ready = bool(data["ready"])
    because = data["killed_because"]
    process.killed_because = because if isinstance(because, str) else None
    version, stats, oom_fd = data["version"], data["stats"], data["oom_fd"]
    process.version = version if isinstance(version, str) else None
    process.stats = stats if isinstance(stats, dict) else {}
    process.oom_fd = oom_fd if isinstance(oom_fd, int) and oom_fd >= 0 else None
    process.oom_seen = int(str(data["oom_seen"]))
    return process


def _heart(limit: int, misses: int, times: Json) -> Heart:
    """A heart across an execve; its next tick is then long past, and counts for nothing."""
    if not isinstance(times, list):
        return Heart(limit, misses)  # version 0.1 had ticks of a second alone
    first_s, tick_s = (float(str(s)) for s in times)
    return Heart(limit, misses, tick_s=tick_s, first_s=first_s)
