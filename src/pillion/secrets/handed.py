"""Secrets of the keeper's environment, handed to the agent in a sealed memory file instead of its own environment.

What stands in a process's environment is shown by /proc/PID/environ and inherited by everything it starts. The keeper
takes the variables that the settings name out of the environments of its sidecar, and writes them as they
were, `NAME=value` with a zero byte after each, where only the agent holds a descriptor.
"""

from __future__ import annotations

import os
import resource

HANDED = "secrets"
"""The name of the descriptor among `Place.fds`."""
# A Linux environment has 6 MiB at most (execve(2)).
_BYTES = 8 << 20


class Handed:
    """Looks variables up; `descriptor` is the memory file, None where the keeper gave none."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def variable(self, name: str) -> bytes | None:
        """The value of the variable `name`, read anew each time; None when the keeper had none such."""
        wanted = os.fsencode(name) + b"="
        if self._descriptor is not None:
            for entry in os.pread(self._descriptor, _BYTES, 0).split(b"\0"):
                if entry.startswith(wanted):
                    return entry[len(wanted) :]
        # One that a reload has named: it is still in our environment, until we are started anew.
        return os.environb.get(wanted[:-1])

    def close(self) -> None:
        """Give the descriptor back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def forbid_core_files() -> None:
    """Have no core file of this process written: its memory holds values while it answers.

    A limit of 1 byte is the one that also stops the kernel from piping the core to a program (core(5)).
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    soft = 1 if hard == resource.RLIM_INFINITY or hard >= 1 else 0
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
