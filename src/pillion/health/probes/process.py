"""Looks whether the process that a pid file names is alive, and still the same one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from pillion.health.result import Result, Verdict, clip

if TYPE_CHECKING:
    from pillion.health.check import Process

_PID_DIGITS = 10


class _Seen(msgspec.Struct, frozen=True):
    """A pid file as it was (inode, mtime in ns), and when the process that it named had started (ticks since boot)."""

    file: tuple[int, int]
    pid: int
    started: str


class ProcessProbe:
    """Remembers whom a pid file named: when the process has gone and its number is another's, the file is a lie."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def look(self, name: str, target: Process) -> Result:
        """One look for the check `name`; the app itself is known by other means."""
        path = target.pid_file
        assert path is not None
        try:
            with open(path, "rb") as file:
                facts = os.fstat(file.fileno())
                text = file.read(64).strip()
        except OSError as error:
            return _fail(f"cannot read {path}: {error.strerror}")
        # What stands there is not repeated: the file may be one that only we may read.
        if not text.isdigit() or len(text) > _PID_DIGITS:
            return _fail(f"cannot use {path}: there is no pid in it")
        pid = int(text)
        state, started = _stat(pid)
        if not started or state in ("Z", "X"):
            self._seen.pop(name, None)
            return _fail(f"pid {pid} of {path} does not run")
        now = _Seen((facts.st_ino, facts.st_mtime_ns), pid, started)
        before = self._seen.get(name)
        if before is not None and (before.file, before.pid) == (now.file, pid) and before != now:
            return _fail(f"pid {pid} of {path} is another process by now")
        self._seen[name] = now
        return Result(Verdict.PASS, f"pid {pid} runs")

    def keep(self, names: frozenset[str]) -> None:
        """Forget what belongs to no check of `names`."""
        for name in self._seen.keys() - names:
            del self._seen[name]


def _fail(text: str) -> Result:
    return Result(Verdict.FAIL, clip(text))


def _stat(pid: int) -> tuple[str, str]:
    """State and start of a process (proc(5)); empty texts when there is none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return "", ""
    return fields[0], fields[19]
