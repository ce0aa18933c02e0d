"""Counts nginx's workers and tells those of earlier loads from the present ones: only the titles that they give themselves say it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

# ngx_setproctitle(): src/os/unix/ngx_process_cycle.c.
_WORKER = "nginx: worker process"
_OLD = "nginx: worker process is shutting down"
_TITLE_BYTES = 256


class Workers(msgspec.Struct, frozen=True):
    """Pids: `present` take connections, `old` finish those that they have and take no more."""

    present: frozenset[int] = frozenset()
    old: frozenset[int] = frozenset()


def workers(master: int, proc: str = "/proc") -> Workers:
    """The workers of the master of that pid; none when it is not there. Reads a file of the kernel's for each child."""
    present, old = set(), set()
    for pid in children(master, proc):
        title = _title(pid, proc)
        if title.startswith(_OLD):
            old.add(pid)
        elif title.startswith(_WORKER):
            present.add(pid)
    return Workers(frozenset(present), frozenset(old))


def children(parent: int, proc: str = "/proc") -> Iterator[int]:
    """The pids of a process's children (proc(5), `/proc/pid/task/tid/children`, and without it, of those whose stat names it as their parent)."""
    try:
        with open(f"{proc}/{parent}/task/{parent}/children", "rb") as file:
            yield from map(int, file.read().split())
            return
    except OSError:
        # Kernels without CONFIG_PROC_CHILDREN, and a process that is gone: then none is found below either.
        pass
    for name in os.listdir(proc):
        if name.isdigit() and _parent(int(name), proc) == parent:
            yield int(name)


def _parent(pid: int, proc: str) -> int:
    try:
        with open(f"{proc}/{pid}/stat", "rb") as file:
            # The name, in parentheses, may hold anything (proc(5)).
            return int(file.read(4096).rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _title(pid: int, proc: str) -> str:
    try:
        with open(f"{proc}/{pid}/cmdline", "rb") as file:
            return file.read(_TITLE_BYTES).rstrip(b"\0 ").decode(errors="replace")
    except OSError:
        return ""
