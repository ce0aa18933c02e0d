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
_PARENT, _STARTED = 1, 19
# Clock ticks, which are 10 ms, between the first moments of two workers of one load; after each load the master sleeps for 100 ms.
_TOGETHER = 5


class Workers(msgspec.Struct, frozen=True):
    """Pids: `present` take connections, `old` finish those that they have and take no more; `old_loads` is how many loads ago those were begun at the most."""

    present: frozenset[int] = frozenset()
    old: frozenset[int] = frozenset()
    old_loads: int = 0


def workers(master: int, proc: str = "/proc") -> Workers:
    """The workers of the master of that pid; none when it is not there. Reads a file of the kernel's for each child."""
    present, old = set(), set()
    for pid in children(master, proc):
        title = _title(pid, proc)
        if title.startswith(_OLD):
            old.add(pid)
        elif title.startswith(_WORKER):
            present.add(pid)
    return Workers(frozenset(present), frozenset(old), _loads(old, proc))


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
        if name.isdigit() and _stat(int(name), _PARENT, proc) == parent:
            yield int(name)


def _loads(pids: set[int], proc: str) -> int:
    """Of how many loads these are: the workers of one are begun one right after the other."""
    begun = sorted(_stat(pid, _STARTED, proc) for pid in pids)
    return sum(
        number == 0 or moment - begun[number - 1] > _TOGETHER for number, moment in enumerate(begun)
    )


def _stat(pid: int, field: int, proc: str) -> int:
    """A field of its stat, counted from the state, which is 0; 0 when it is gone."""
    try:
        with open(f"{proc}/{pid}/stat", "rb") as file:
            # The name, in parentheses, may hold anything (proc(5)).
            return int(file.read(4096).rpartition(b")")[2].split()[field])
    except (OSError, ValueError, IndexError):
        return 0


def _title(pid: int, proc: str) -> str:
    try:
        with open(f"{proc}/{pid}/cmdline", "rb") as file:
            return file.read(_TITLE_BYTES).rstrip(b"\0 ").decode(errors="replace")
    except OSError:
        return ""
