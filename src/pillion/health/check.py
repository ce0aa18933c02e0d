"""What a check is, once everything that settings and requests leave open has been decided."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

PASSING = "passing"
WARNING = "warning"
CRITICAL = "critical"
STATUSES = (PASSING, WARNING, CRITICAL)

READINESS = "readiness"
LIVENESS = "liveness"
STARTUP = "startup"
KINDS = (READINESS, LIVENESS, STARTUP)


class Http(msgspec.Struct, frozen=True):
    """Ask `url`, follow no redirect, and look at the status: it passes within one of `statuses`, ends included."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    statuses: tuple[tuple[int, int], ...] = ((200, 399),)
    sort: str = "http"


class Tcp(msgspec.Struct, frozen=True):
    """Connect, and close."""

    host: str
    port: int
    sort: str = "tcp"


class Exec(msgspec.Struct, frozen=True):
    """Run a command: code 0 passes."""

    command: tuple[str, ...]
    sort: str = "exec"


class Ttl(msgspec.Struct, frozen=True):
    """Wait to be told, again within `ttl_s` seconds."""

    ttl_s: float
    sort: str = "ttl"


class Process(msgspec.Struct, frozen=True):
    """See whether a process lives: the one that `pid_file` names, the app without one."""

    pid_file: str | None = None
    sort: str = "process"


class Grpc(msgspec.Struct, frozen=True):
    """Ask by grpc.health.v1 for `service`; the empty name is the server as a whole."""

    address: str
    service: str = ""
    sort: str = "grpc"


Probe: TypeAlias = Http | Tcp | Exec | Ttl | Process | Grpc


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check. Times in seconds; `rise` and `fall` count results in a row; `jitter` is a share of the interval.

    `grace_s` after the app's start failures do not count, until it has passed once.
    """

    name: str
    probe: Probe
    kind: str = READINESS
    interval_s: float = 10.0
    timeout_s: float = 1.0
    rise: int = 1
    fall: int = 3
    jitter: float = 0.1
    grace_s: float = 0.0
    restart: bool = False
