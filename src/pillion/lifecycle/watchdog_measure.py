"""What the watchdog measures by: /proc of the app's processes, and how far its output has come in the spool.

Cheap, bounded, and never wrong in the dangerous direction: what cannot be read is no measure, not a zero.
"""

from __future__ import annotations

import os
import resource

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# States of proc(5) in which a process does nothing because somebody holds it.
_HELD = frozenset("Tt")
_MAX_PROCESSES = 1024


def cpu_seconds(pids: list[int]) -> float | None:
    """Seconds of CPU that the living processes have used, with those of children that they have reaped; None when none can be read."""
    found = [ticks for pid in pids[:_MAX_PROCESSES] if (ticks := _ticks(pid)) is not None]
    return sum(found) / _TICKS_PER_S if found else None


def _stat(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []  # gone, or not ours to see


def _ticks(pid: int) -> int | None:
    fields = _stat(pid)
    return sum(int(one) for one in fields[11:15]) if len(fields) > 14 else None


def all_held(pids: list[int]) -> bool:
    """Whether every process that can be read is stopped or traced; False when none can be."""
    states = [fields[0] for pid in pids[:_MAX_PROCESSES] if (fields := _stat(pid))]
    return bool(states) and all(state in _HELD for state in states)


def descriptor_share(pids: list[int]) -> float | None:
    """The largest share of its open-files limit (soft) that one of the processes has in use; None when none can be read."""
    return max(
        (share for pid in pids[:_MAX_PROCESSES] if (share := _share(pid)) is not None),
        default=None,
    )


def _share(pid: int) -> float | None:
    try:
        soft, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        used = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    return used / soft if soft > 0 else None


def resident_bytes(pids: list[int]) -> int | None:
    """Resident memory of the processes, shared file pages left out; None when none can be read."""
    total, seen = 0, False
    page = os.sysconf("SC_PAGESIZE")
    for pid in pids[:_MAX_PROCESSES]:
        try:
            with open(f"/proc/{pid}/statm", encoding="ascii") as file:
                fields = file.read().split()
        except OSError:
            continue
        seen = True
        total += (int(fields[1]) - int(fields[2])) * page
    return total if seen else None


def output_bytes(run_dir: str, streams: tuple[str, ...] = ("stdout", "stderr")) -> int | None:
    """How far the streams have come in the spool of a run, in bytes; None when there is no spool to be read.

    The newest segment's name is the offset at which it begins (`pillion.keeper.spool`), so no segment is opened.
    """
    total, seen = 0, False
    for stream in streams:
        newest, size = "", 0
        try:
            with os.scandir(f"{run_dir}/{stream}") as entries:
                for entry in entries:
                    if entry.name.endswith(".seg") and entry.name > newest:
                        newest, size = entry.name, entry.stat().st_size
        except OSError:
            continue
        seen = True
        number = newest.removesuffix(".seg")
        total += (int(number) if number.isdigit() else 0) + size
    return total if seen else None
