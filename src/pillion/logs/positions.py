"""How far each sink has come: a position moves only when a receiver has said yes, and is written whole or not at all.

The file's shape is set down in ARCHITECTURE.md, "Directories of an instance"; `files` is for followed log files. What is lost
with a write that did not happen is shipped again: at-least-once needs no more.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from pillion.base.files import write_atomically
from pillion.keeper.places import take_lock

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# The run under which followed files stand in memory; no run id looks like it.
FILES = "files"


class FilePosition(msgspec.Struct, frozen=True):
    """How far a followed file was shipped: `head` and `head_bytes` tell whether it is still the same content."""

    path: str
    offset: int
    head: int = 0
    head_bytes: int = 0


class _Contents(msgspec.Struct):
    v: int = 1
    positions: dict[str, dict[str, int]] = {}
    files: dict[str, FilePosition] = {}


Key = tuple[str, str]


class Positions:
    """The positions of one sink: in memory, and in `<state>/positions/<sink>.json`.

    Loading never fails: without a readable file everything is shipped again, and `damaged` says so.
    """

    def __init__(self, state_dir: str, sink: str) -> None:
        self.path = f"{state_dir}/positions/{sink}.json"
        self.writes = 0
        self.failures = 0
        self.error = ""
        self.damaged = False
        self.dirty = False
        self._lock_path = f"{state_dir}/positions/{sink}.lock"
        self._lock: int | None = None
        self._contents = _Contents()

    def lock(self) -> bool:
        """Become the only one who ships for this sink, until the process ends; False while another does.

        A predecessor that is still flushing must not have its positions overtaken. Raises `OSError`.
        """
        if self._lock is None:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            self._lock = take_lock(self._lock_path)
        return self._lock is not None

    def unlock(self) -> None:
        """Let a successor ship."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def load(self) -> None:
        """Read the file; nothing there is the beginning."""
        try:
            with open(self.path, "rb") as file:
                self._contents = msgspec.json.decode(file.read(), type=_Contents)
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError):
            self.damaged = True
        if any(at < 0 for run in self._contents.positions.values() for at in run.values()):
            self._contents = _Contents()
            self.damaged = True

    def get(self, key: Key) -> int:
        """Return the offset below which everything of the stream is shipped."""
        run, stream = key
        return self._contents.positions.get(run, {}).get(stream, 0)

    def advance(self, ends: Mapping[Key, int]) -> None:
        """Move forward to `ends`; a position never moves back."""
        for (run, stream), end in ends.items():
            of_run = self._contents.positions.setdefault(run, {})
            if end > of_run.get(stream, 0):
                of_run[stream] = end
                self.dirty = True

    def files(self) -> Mapping[str, FilePosition]:
        """Return the positions of followed files by `device:inode`."""
        return self._contents.files

    def set_file(self, identity: str, position: FilePosition) -> None:
        """Set a followed file's position; unlike a stream's it may move back, when the file was truncated."""
        if self._contents.files.get(identity) != position:
            self._contents.files[identity] = position
            self.dirty = True

    def forget_file(self, identity: str) -> None:
        """Forget a file that is gone."""
        if self._contents.files.pop(identity, None) is not None:
            self.dirty = True

    def keep_runs(self, runs: Collection[str]) -> None:
        """Forget the runs whose spool is gone; a spool that shows none is not believed."""
        if not runs:
            return
        for run in self._contents.positions.keys() - set(runs):
            del self._contents.positions[run]
            self.dirty = True

    def encode(self) -> bytes:
        """Return the file's contents now, and take them for written."""
        self.dirty = False
        return msgspec.json.encode(self._contents)

    def write(self, contents: bytes) -> bool:
        """Replace the file; False when the disk refuses, and the old file stands. May block: for a thread."""
        try:
            write_atomically(self.path, contents)
        except OSError as error:
            self.failures += 1
            self.error = error.strerror or type(error).__name__
            self.dirty = True
            return False
        self.error = ""
        self.writes += 1
        return True
