"""What proc(5) says of one process at one moment. What cannot be read is None, never zero."""

from __future__ import annotations

import os

import msgspec

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

ZOMBIE = "Z"


class ProcessStat(msgspec.Struct, frozen=True):
    """/proc/PID/stat: `started` is in ticks since boot, and with the pid it tells one process from all others."""

    pid: int
    parent: int
    state: str
    minor_faults: int
    major_faults: int
    user_s: float
    system_s: float
    threads: int
    started: int
    virtual_bytes: int
    resident_bytes: int


class ProcessIo(msgspec.Struct, frozen=True):
    """/proc/PID/io: bytes that the process had storage read and written."""

    read_bytes: int
    written_bytes: int


class Switches(msgspec.Struct, frozen=True):
    """Context switches of /proc/PID/status, of the main thread."""

    voluntary: int
    involuntary: int


class ProcessReading(msgspec.Struct, frozen=True):
    """One process. `descriptor_limit` is the soft limit; `proportional_bytes` is the PSS, looked at in the slow lane only."""

    stat: ProcessStat
    io: ProcessIo | None = None
    switches: Switches | None = None
    descriptors: int | None = None
    descriptor_limit: int | None = None
    proportional_bytes: int | None = None


def parse_stat(text: str) -> ProcessStat | None:
    """The stat file of a process, None when it makes no sense. Its name may hold anything, also brackets and blanks."""
    pid, _, _ = text.partition(" ")
    fields = text.rpartition(")")[2].split()
    try:
        return ProcessStat(
            pid=int(pid),
            parent=int(fields[1]),
            state=fields[0],
            minor_faults=int(fields[7]),
            major_faults=int(fields[9]),
            user_s=int(fields[11]) / _TICKS_PER_S,
            system_s=int(fields[12]) / _TICKS_PER_S,
            threads=int(fields[17]),
            started=int(fields[19]),
            virtual_bytes=int(fields[20]),
            resident_bytes=int(fields[21]) * _PAGE_BYTES,
        )
    except (IndexError, ValueError):
        return None


def parse_io(text: str) -> ProcessIo | None:
    """The io file of a process, None when it makes no sense."""
    found = _numbers(text, ("read_bytes", "write_bytes"))
    return None if found is None else ProcessIo(*found)


def parse_switches(text: str) -> Switches | None:
    """The context switches in the status file of a process, None when it tells none."""
    found = _numbers(text, ("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"))
    return None if found is None else Switches(*found)


def parse_proportional(text: str) -> int | None:
    """The PSS of smaps_rollup in bytes, None when it tells none."""
    found = _numbers(text, ("Pss",))
    return None if found is None else found[0] * 1024


def _numbers(text: str, names: tuple[str, ...]) -> list[int] | None:
    """The numbers of lines `name: number …`, None when one is missing."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name in names and name not in found:
            number = rest.split(maxsplit=1)[:1]
            if not number or not number[0].isdigit():
                return None
            found[name] = int(number[0])
    return [found[name] for name in names] if len(found) == len(names) else None
