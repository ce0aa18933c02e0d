"""Holding a process under test: stopped by SIGSTOP, and seen to stand before the test goes on.

A signal is sent at once and acted upon when the process next returns to its own code; until then it may still work, and a signal
that is sent behind it, with a lower number, is acted upon first (signal(7)).
"""

from __future__ import annotations

import os
import signal
import time

_BOUND_S = 20.0
_STANDS = frozenset("TtZX")


def hold(pid: int) -> None:
    """Stop a process; return when each of its threads stands."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + _BOUND_S
    while not all(state in _STANDS for state in _states(pid)):
        assert time.monotonic() < deadline, f"{pid} did not stop"
        time.sleep(0.001)


def _states(pid: int) -> list[str]:
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/stat", encoding="utf-8") as file:
                found.append(file.read().rpartition(")")[2].split()[0])
    except OSError:
        return []  # it has ended
    return found
