"""One agent at a time applies to a proxy: in an upgrade the next one waits until the one before has come to a safe place, or was ended."""

from __future__ import annotations

import asyncio
import fcntl
import os

# Nobody tells when a lock is free, and an upgrade is short.
_FIRST_S = 0.02
_LAST_S = 0.5


class Tenure:
    """A lock in a proxy's state directory; the kernel frees it with the process that holds it."""

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, "lock")
        self._descriptor = -1

    async def take(self) -> None:
        """Wait until it is ours. Raises `OSError` when there can be no lock."""
        os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        wait_s = _FIRST_S
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(wait_s)
                    wait_s = min(_LAST_S, wait_s * 2)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def give(self) -> None:
        """Let the next one have it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
