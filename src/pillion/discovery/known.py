"""The last known registrations on disk, so that an agent that starts while the store is away has something to answer.

Written whole and by rename, at most once a second, and never while nothing changes.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pillion.base.files import write_atomically
from pillion.discovery.instance import ServiceInstance, complaint_of

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = "registrations.json"
FILE_BYTES = 64 << 20
PAUSE_S = 1.0
_VERSION = 1


class _File(msgspec.Struct, frozen=True):
    v: int
    items: list[ServiceInstance]


class Known(NamedTuple):
    """What was read: the registrations, and when they were written (seconds since the epoch)."""

    items: list[ServiceInstance]
    time_s: float


def read_known(path: str) -> Known | None:
    """What is there; None when there is nothing, and when it cannot be used, which is told."""
    try:
        with open(path, "rb") as file:
            modified_s = os.fstat(file.fileno()).st_mtime
            found = msgspec.json.decode(file.read(FILE_BYTES), type=_File)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        sys.stderr.write(f"pillion-agent: cannot use {path}: {error}; the store is asked again\n")
        return None
    if found.v != _VERSION:
        return None
    usable = [one for one in found.items if not complaint_of(one) and not one.is_announced]
    return Known(usable, modified_s)


class Keeping:
    """Keeps the file at `path` up with what `present` gives; `run` is a task of the agent's.

    `failed` counts writes that did not succeed: the file then stays as it was.
    """

    def __init__(self, path: str, present: Callable[[], list[ServiceInstance]]) -> None:
        self._path = path
        self._present = present
        self._changed = asyncio.Event()
        self._written: bytes | None = None
        self.failed = 0

    def changed(self) -> None:
        """Something may be to be written."""
        self._changed.set()

    async def run(self) -> None:
        """Write whenever something has changed, and not more often than every second."""
        self._written = await asyncio.to_thread(self._read)
        while True:
            await self._changed.wait()
            self._changed.clear()
            items = sorted(self._present(), key=lambda one: (one.service, one.id))
            data = msgspec.json.encode(_File(_VERSION, items))
            # An instance without registrations, as most are, writes nothing at all.
            if data != self._written and (items or self._written is not None):
                await asyncio.to_thread(self._write, data)
            await asyncio.sleep(PAUSE_S)

    def _read(self) -> bytes | None:
        try:
            with open(self._path, "rb") as file:
                return file.read(FILE_BYTES)
        except OSError:
            return None

    def _write(self, data: bytes) -> None:
        try:
            write_atomically(self._path, data)
            self._written = data
        except OSError as error:
            self.failed += 1
            sys.stderr.write(f"pillion-agent: cannot write {self._path}: {error.strerror}\n")
