"""Ending whole trees of processes, also where no control group keeps their list: a mark in the environment does then.

Every process of an app inherits `PILLION_RUN`; that is how a double-forked grandchild in a session of its own is still found.
"""

from __future__ import annotations

import os
import time

from . import posix
from .lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .cgroups import Group

MARK = "PILLION_RUN"
ROLE_MARK = "PILLION_CHILD"


def marked_pids(run: str, *, sidecar: bool = False) -> list[int]:
    """Return the processes whose environment at exec carried the mark of `run`; with `sidecar` those of the sidecar instead of the app's.

    Only what we may read is seen: processes of our user, or all as root.
    """
    mark = f"{MARK}={run}".encode()
    role = f"{ROLE_MARK}=".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                environ = file.read().split(b"\0")
        except OSError:
            continue
        if mark in environ and any(e.startswith(role) for e in environ) == sidecar:
            found.append(int(name))
    return found


def titled_pids(state_dir: str) -> list[int]:
    """Return the living processes of every nginx that has its pid file below `state_dir`: over its environment, and so over the mark, it
    writes its titles.

    By their session, since the workers of a killed master say nothing of where they belong.
    """
    found: list[int] = []
    try:
        names = os.listdir(f"{state_dir}/proxies")
    except (FileNotFoundError, NotADirectoryError):
        return found
    for name in names:
        try:
            with open(f"{state_dir}/proxies/{name}/nginx.pid") as file:
                leader = int(file.read())
        except (OSError, ValueError):
            continue
        found += [pid for pid in posix.session_of(leader) if _title(pid).startswith(b"nginx: ")]
    return found


def _title(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read(64)
    except (FileNotFoundError, ProcessLookupError):
        return b""


def component_pids(group: Group, run: str, *, sidecar: bool = False) -> list[int]:
    """Return the living processes of a component."""
    return group.pids() if group.tracked else marked_pids(run, sidecar=sidecar)


def signal_all(pids: list[int], number: int) -> None:
    """Signal every one that is still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def kill_until_gone(group: Group, run: str, bound_s: float, *, sidecar: bool = False) -> bool:
    """SIGKILL a component until it is empty or the bound has passed; True when it is empty. Waits: not for the keeper's loop."""
    deadline_s = time.monotonic() + bound_s
    while component_pids(group, run, sidecar=sidecar):
        group.kill() if group.tracked else signal_all(
            marked_pids(run, sidecar=sidecar), signal.SIGKILL
        )
        if time.monotonic() >= deadline_s:
            return False
        time.sleep(0.005)
    return True
