"""What the disk alone takes to make a write durable: the floor under every figure that waits for it."""

from __future__ import annotations

import os
import statistics
import time

_BLOCK = 4096
# Three pages and their headers: what SQLite's log gets for a small value with its history.
WRITE_BYTES = 3 * (_BLOCK + 24)
_LOG_BYTES = 2 << 20


def p50_ms(folder: str, seconds: float) -> float:
    """Median of writing over a part of a file in `folder` and waiting for fdatasync(2), as a log does that is in use for a while."""
    path = f"{folder}/synced"
    data = os.urandom(WRITE_BYTES)
    took: list[float] = []
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.pwrite(fd, bytes(_LOG_BYTES + WRITE_BYTES), 0)
        os.fsync(fd)
        end = time.perf_counter() + seconds
        at = 0
        while not took or time.perf_counter() < end:
            before = time.perf_counter()
            os.pwrite(fd, data, at)
            os.fdatasync(fd)
            took.append(time.perf_counter() - before)
            at = (at + WRITE_BYTES) % _LOG_BYTES
    finally:
        os.close(fd)
        os.unlink(path)
    return statistics.median(took) * 1e3
