"""Reading /proc of a component's processes: bounded, and whatever ends meanwhile is simply not there."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

from pillion.telemetry.process_reading import (
    ProcessReading,
    parse_io,
    parse_proportional,
    parse_stat,
    parse_switches,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pillion.base.host_files import Files

# Of one component; who has more is counted, and told by the first of them.
MOST_PROCESSES = 512
_LISTENING = "0A"
# Lines of the tables of connections: a host with more has listeners among the first.
_TABLE_BYTES = 4 << 20


def read_processes(
    files: Files, pids: Iterable[int], *, children: bool = True, slow: bool = False
) -> list[ProcessReading]:
    """Read `pids`, and `children` of theirs that nobody has named, `MOST_PROCESSES` at most. `slow` looks at the PSS too.

    Call it in a thread: each process is five small files, and the PSS of a large one takes the kernel milliseconds.
    """
    found: list[ProcessReading] = []
    seen: set[int] = set()
    waiting = list(dict.fromkeys(pids))
    while waiting and len(found) < MOST_PROCESSES:
        pid = waiting.pop(0)
        if pid in seen:
            continue
        seen.add(pid)
        one = _read(files, pid, slow=slow)
        if one is not None:
            found.append(one)
            if children:
                # A control group does not name zombies; their parents do.
                waiting += _children(files, pid)
    return found


def _read(files: Files, pid: int, *, slow: bool) -> ProcessReading | None:
    stat = parse_stat(files.text(f"/proc/{pid}/stat"))
    if stat is None:
        return None
    return ProcessReading(
        stat=stat,
        io=parse_io(files.text(f"/proc/{pid}/io")),
        switches=parse_switches(files.text(f"/proc/{pid}/status")),
        descriptors=_descriptors(files, pid),
        descriptor_limit=_descriptor_limit(pid),
        proportional_bytes=(
            parse_proportional(files.text(f"/proc/{pid}/smaps_rollup")) if slow else None
        ),
    )


def _children(files: Files, pid: int) -> list[int]:
    """The children of the process's main thread (proc(5), CONFIG_PROC_CHILDREN); none where the kernel does not tell."""
    text = files.text(f"/proc/{pid}/task/{pid}/children")
    return [int(one) for one in text.split() if one.isdigit()]


def _descriptors(files: Files, pid: int) -> int | None:
    names = files.names(f"/proc/{pid}/fd")
    return None if names is None else len(names)


def _descriptor_limit(pid: int) -> int | None:
    try:
        soft, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    except OSError:
        return None
    return soft if soft > 0 else None


def listening_ports(files: Files, pids: Iterable[int]) -> int | None:
    """How many TCP ports these processes listen on; None when their descriptors cannot be looked at."""
    sockets: set[str] = set()
    readable = False
    space = 0
    for pid in pids:
        names = files.names(f"/proc/{pid}/fd")
        if names is None:
            continue
        readable = True
        space = space or pid
        for name in names:
            target = files.link(f"/proc/{pid}/fd/{name}") or ""
            if target.startswith("socket:["):
                sockets.add(target[8:-1])
    if not readable:
        return None
    ports: set[str] = set()
    for table in ("tcp", "tcp6"):
        text = files.data(f"/proc/{space}/net/{table}", _TABLE_BYTES).decode("ascii", "replace")
        for line in text.splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _LISTENING and fields[9] in sockets:
                ports.add(fields[1].rpartition(":")[2])
    return len(ports)
