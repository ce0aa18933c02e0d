"""The last known good: the replica on disk, so that an agent that starts while the store is away has something to answer.

Written whole and by rename, at most once a second, and never while nothing changes. Its modification time says until
when it was known to be current.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import msgspec

from pillion.base.files import write_atomically
from pillion.config.keys import SCHEMAS
from pillion.store.interface import Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.config.replica import Replica

FILE = "config.json"
PAUSE_S = 1.0
_VERSION = 1


class _Known(msgspec.Struct, frozen=True):
    """The file. Entries are those of the store: key, value, revision, created, time, writer; `store` is its identity, `source` the
    setting that it was reached by.
    """

    v: int
    source: str
    store: str
    revision: int
    entries: list[tuple[str, msgspec.Raw, int, int, float, str]]


class Known(msgspec.Struct, frozen=True):
    """What was read from it; `age_s` is how long ago it was known to be current."""

    identity: str
    revision: int
    entries: list[Entry]
    age_s: float


def path_of(state_dir: str) -> str:
    """Where an instance keeps it."""
    return os.path.join(state_dir, FILE)


def has_values(state_dir: str, source: str) -> bool:
    """Whether values of the store `source` were kept: then that store was there, and an empty one must not take its place."""
    known = read_known(path_of(state_dir), source, 0.0)
    return known is not None and bool(known.entries)


def read_known(path: str, source: str, now_s: float) -> Known | None:
    """What is there of the store `source`; None when there is nothing, and when it cannot be used, which is told."""
    try:
        with open(path, "rb") as file:
            data = file.read()
            modified_s = os.fstat(file.fileno()).st_mtime
        known = msgspec.json.decode(data, type=_Known)
        if known.v != _VERSION:
            raise ValueError(f"it has version {known.v}")
        if known.source != source:
            return None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        sys.stderr.write(f"pillion-agent: cannot use {path}: {error}; the store is read anew\n")
        return None
    entries = [
        Entry(
            key=key,
            value=bytes(value),
            revision=revision,
            created=created,
            time_s=time_s,
            writer=writer,
        )
        for key, value, revision, created, time_s, writer in known.entries
    ]
    return Known(known.store, known.revision, entries, max(0.0, now_s - modified_s))


class Keeping:
    """Keeps the file up with `replica`; its `run` is a task of the agent's."""

    def __init__(self, path: str, source: str, replica: Replica) -> None:
        self._path = path
        self._source = source
        self._replica = replica
        self._changed = asyncio.Event()
        self._failing = False
        self.written = 0
        self.failed = 0

    def changed(self) -> None:
        """Something is to be written."""
        self._changed.set()

    async def run(self) -> None:
        """Write whenever something has changed, and not more often than every second."""
        while True:
            await self._changed.wait()
            await self.write()
            await asyncio.sleep(PAUSE_S)

    async def write(self) -> None:
        """Write what there is, if it has changed since."""
        if not self._changed.is_set():
            return
        self._changed.clear()
        await asyncio.to_thread(self._write, self._snapshot())

    def was_current(self) -> None:
        """Note in the file that it is true until now; without a file there is nothing to note."""
        try:
            os.utime(self._path)
        except OSError:
            self.failed += 1

    def _snapshot(self) -> Callable[[], bytes]:
        """What is to be written, taken now; encoding it may take its time elsewhere."""
        tree = self._replica.tree
        source, identity, revision = self._source, self._replica.identity, tree.revision
        items = [item for item in tree.everything() if not item.omitted]
        schemas = self._replica.schemas.items()
        prefixes = tree.scopes.prefixes

        def encode() -> bytes:
            entries = [
                (
                    prefixes[item.layer] + item.key,
                    msgspec.Raw(item.value),
                    item.revision,
                    item.created,
                    item.time_s,
                    item.writer,
                )
                for item in items
            ]
            entries += [
                (SCHEMAS + one.name, msgspec.Raw(one.raw), one.revision, 0, one.time_s, one.writer)
                for one in schemas
            ]
            return msgspec.json.encode(_Known(_VERSION, source, identity, revision, entries))

        return encode

    def _write(self, encode: Callable[[], bytes]) -> None:
        try:
            write_atomically(self._path, encode())
        except OSError as error:
            self.failed += 1
            if not self._failing:
                sys.stderr.write(
                    f"pillion-agent: cannot keep the configuration in {self._path}: {error.strerror}; "
                    "it is tried again with the next change\n"
                )
            self._failing = True
            return
        self._failing = False
        self.written += 1
