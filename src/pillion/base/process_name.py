"""A process bears its role as its name, so that ps and top tell the sidecar's processes apart."""

from __future__ import annotations

# TASK_COMM_LEN is 16 with the final NUL; the kernel cuts what is longer.
LONGEST = 15


def set_process_name(name: str) -> None:
    """Name the calling process (its main thread) `name`, cut to 15 bytes, as `/proc/PID/comm` shows it.

    Raises `OSError` where `/proc` is not mounted or not writable.
    """
    with open("/proc/self/comm", "wb", buffering=0) as comm:
        comm.write(name.encode()[:LONGEST])


def process_name(pid: int) -> str:
    """The name that the process bears; `OSError` when there is no such process."""
    with open(f"/proc/{pid}/comm", "rb") as comm:
        return comm.read().rstrip(b"\n").decode("utf-8", "backslashreplace")
