"""The few Linux calls that the standard library does not wrap."""

from __future__ import annotations

import os
import select

from .lean import open_libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

_prctl = open_libc()


def prctl(option: int, value: int) -> None:
    """Call prctl(2) with one argument. Raises OSError."""
    errno = _prctl(option, value)
    if errno:
        raise OSError(errno, os.strerror(errno))


def set_comm(name: str) -> None:
    """Name this process in /proc/PID/comm, so that ps and top tell roles apart (15 characters at most)."""
    with open("/proc/self/comm", "w") as comm:
        comm.write(name[:15])


def clear(eventfd: int) -> None:
    """Set an eventfd back to zero, waiting until it is above (eventfd(2)).

    Not `os.eventfd_read`: that one fails with EINTR when the process is stopped and goes on (signal(7)), while a read is
    taken up again (PEP 475).
    """
    os.read(eventfd, 8)


def fail(role: str, error: BaseException) -> NoReturn:
    """End this process at once, with a word on standard error if that takes one now."""
    words = f"pillion: the {role} failed: {type(error).__name__}: {error}\n"
    poll = select.poll()
    poll.register(2, select.POLLOUT)
    if poll.poll(0):
        try:
            os.write(2, words.encode(errors="replace"))
        except OSError:
            os._exit(1)  # nobody reads it any more
    os._exit(1)


def start_ticks(pid: int) -> int | None:
    """Return the start time of `pid` in clock ticks since boot (proc(5), field 22), or None when it is gone.

    With the pid it names a process for good: a pid alone may be another process a moment later.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[19])


def children_of(pid: int) -> list[int]:
    """Return the direct children of a process over all its threads; empty when it is gone."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return found
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children") as children:
                found.extend(int(child) for child in children.read().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def descendants_of(pid: int) -> list[int]:
    """Return every living descendant of a process, parents before children."""
    found = children_of(pid)
    for child in found:
        found.extend(children_of(child))
    return found


def session_of(leader: int) -> list[int]:
    """Return the living processes of the session that `leader` began (proc(5), field 6); it may itself be gone."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stat:
                fields = stat.read().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == leader and fields[0] not in (b"Z", b"X"):
            found.append(int(name))
    return found
