"""Resident memory of a tree of processes, where no control group counts it."""

from __future__ import annotations

import os

_PAGE_BYTES = os.sysconf("SC_PAGESIZE")


def resident_bytes(pids: list[int]) -> int:
    """Return the resident memory of the processes that are still there, shared file pages left out (proc(5), statm)."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm") as file:
                fields = file.read().split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += (int(fields[1]) - int(fields[2])) * _PAGE_BYTES
    return total
