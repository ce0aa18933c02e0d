"""Writes the last snapshot for a worker, or an agent, that starts while nobody else can tell it. Never in the way of anything."""

from __future__ import annotations

import asyncio
import sys

from pillion.base.files import write_atomically


class PolicyFile:
    """The file at `path`. Of several snapshots in a row the last is written; `failed` counts those that could not be."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.failed = 0
        self._wanted: bytes | None = None
        self._writing = False
        self._complaint = ""

    def want(self, data: bytes) -> bool:
        """Have `data` written; True when `write` has to be started for it."""
        self._wanted = data
        return not self._writing

    async def write(self) -> None:
        """Write until nothing more is wanted. What cannot be written leaves the file as it was, and is told once."""
        self._writing = True
        try:
            while self._wanted is not None:
                data, self._wanted = self._wanted, None
                try:
                    await asyncio.to_thread(write_atomically, self.path, data)
                    self._complaint = ""
                except OSError as error:
                    self.failed += 1
                    self._complain(f"cannot write {self.path}: {error.strerror}")
        finally:
            self._writing = False

    def _complain(self, what: str) -> None:
        if what != self._complaint:
            self._complaint = what
            sys.stderr.write(f"pillion-agent: {what}; workers that start meanwhile wait for us\n")
