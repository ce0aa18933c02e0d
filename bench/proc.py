"""What the kernel knows of a process: memory, wake-ups and CPU, read where it is exact."""

from __future__ import annotations

import os
from dataclasses import dataclass

_TICKS = os.sysconf("SC_CLK_TCK")


def rollup_kb(pid: int, field: str) -> int:
    """`Private_Dirty` or `Pss` of a process in KiB (proc(5), smaps_rollup)."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name == field:
                return int(rest.split()[0])
    raise ValueError(f"no {field} in smaps_rollup")


def cpu_s(pid: int) -> float:
    """CPU seconds of a process with the threads that have ended, in ticks of 10 ms: for seconds of work."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@dataclass(frozen=True, slots=True)
class Activity:
    """What the living threads of a process have done since it started."""

    cpu_ns: int
    wake_ups: int

    def __sub__(self, other: Activity) -> Activity:
        return Activity(self.cpu_ns - other.cpu_ns, self.wake_ups - other.wake_ups)


def activity(pid: int) -> Activity:
    """CPU in nanoseconds and voluntary context switches, over all threads: each wait that ended is one wake-up."""
    cpu_ns = switches = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        base = f"/proc/{pid}/task/{thread}"
        with open(f"{base}/schedstat", encoding="ascii") as file:
            cpu_ns += int(file.read().split()[0])
        with open(f"{base}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("voluntary_ctxt_switches:"):
                    switches += int(line.split()[1])
    return Activity(cpu_ns, switches)


def children(pid: int) -> tuple[int, ...]:
    """The processes that it has started and that live (proc(5), children); none of one that has ended."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return tuple(int(word) for word in file.read().split())
    except FileNotFoundError:
        return ()


def pin(pid: int, cpu: int) -> None:
    """Bind every thread of a process to one core."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {cpu})


def two_cores() -> tuple[int, int]:
    """A core for what is measured and one for its load; the same one twice where there is no other."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]
