"""The processes that locks are bound to: watched by pidfd, so that a death is known at once, and a pid is never trusted alone."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from pillion.keeper.posix import start_ticks
from pillion.keeper.tree import MARK, ROLE_MARK
from pillion.locks.record import Life

if TYPE_CHECKING:
    from collections.abc import Callable


def own_life() -> Life:
    """This process."""
    pid = os.getpid()
    return Life(pid, start_ticks(pid) or 0)


def life_of(pid: int | None) -> Life | None:
    """The process that has `pid` now; None for none, or one of another pid namespace (0)."""
    if not pid:
        return None
    ticks = start_ticks(pid)
    return None if ticks is None else Life(pid, ticks)


def is_alive(life: Life) -> bool:
    """Whether it is this very process that has the pid, and no zombie."""
    try:
        with open(f"/proc/{life.pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] not in (b"Z", b"X") and int(fields[19]) == life.ticks


def belongs_to_app(pid: int | None, run: str) -> bool:
    """Whether a process was started by the app of `run`: it has inherited the run's mark, and is none of the sidecar's."""
    if not pid:
        return False
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environ = file.read().split(b"\0")
    except OSError:
        return False
    role = f"{ROLE_MARK}=".encode()
    return f"{MARK}={run}".encode() in environ and not any(e.startswith(role) for e in environ)


class Lives:
    """Create it inside the running loop. Each watch is named by whoever needs it, and ends with its report."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._watched: dict[str, int] = {}

    def watch(self, name: str, life: Life, ended: Callable[[], None]) -> bool:
        """Have `ended` called from the loop when the process has ended; False when it has already."""
        self.forget(name)
        try:
            descriptor = os.pidfd_open(life.pid)
        except OSError:
            return False
        # The descriptor is of whoever has the pid now; only the start time says whether that is who is meant.
        if not is_alive(life):
            os.close(descriptor)
            return False
        self._watched[name] = descriptor
        self._loop.add_reader(descriptor, self._ended, name, ended)
        return True

    def forget(self, name: str) -> None:
        """Watch no longer."""
        descriptor = self._watched.pop(name, None)
        if descriptor is not None:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)

    def close(self) -> None:
        """Watch nothing any more."""
        for name in tuple(self._watched):
            self.forget(name)

    def _ended(self, name: str, ended: Callable[[], None]) -> None:
        self.forget(name)
        ended()
