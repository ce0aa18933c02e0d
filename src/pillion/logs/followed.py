"""`[logs] files`: which log files are followed, through rotation by rename, truncation and restarts of ours.

A file that was renamed or removed is read to its end, and a while longer, because its writer may not have noticed yet. The
number of open files is bounded; those beyond wait until another is done, and are counted.
"""

from __future__ import annotations

import glob
import os
import time
from typing import TYPE_CHECKING

from pillion.logs.feed import Feed
from pillion.logs.positions import FILES
from pillion.logs.tail import TailReader, identity, open_log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pillion.logs.multiline import Joiner
    from pillion.logs.positions import FilePosition, Positions

OPEN_FILES = 64
RESCAN_S = 1.0
# How long a renamed file is still read after its last byte.
LINGER_S = 5.0
_COMPRESSED = (".gz", ".xz", ".zst", ".bz2", ".lz4")
SCOPE = "pillion.files"


class _Followed:
    """A file and its feed; `since_s` is when the last byte of a file came that is no longer at its path."""

    def __init__(self, reader: TailReader, feed: Feed) -> None:
        self.reader = reader
        self.feed = feed
        self.read_to = reader.offset
        self.since_s = 0.0


class FollowedFiles:
    """Methods but `acknowledge` are called from one thread at a time, and may wait for the disk."""

    def __init__(
        self,
        patterns: Sequence[str],
        run: str,
        *,
        cap_bytes: int,
        joiner: Callable[[], Joiner | None] = lambda: None,
        open_files: int = OPEN_FILES,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.waiting = 0
        self._patterns = patterns
        self._run = run
        self._cap_bytes = cap_bytes
        self._joiner = joiner
        self._open_files = open_files
        self._now_s = now_s
        self._followed: dict[str, _Followed] = {}
        self._finishing: list[_Followed] = []
        self._scanned_s: float | None = None
        self._generation = 0

    def feeds(self, positions: Positions) -> list[Feed]:
        """Return the feeds to read now; those of files that are done are final, and not returned again."""
        now_s = self._now_s()
        self._truncated(now_s)
        if self._scanned_s is None or now_s - self._scanned_s >= RESCAN_S:
            first = self._scanned_s is None
            self._scanned_s = now_s
            self._scan(positions, now_s, first=first)
        finishing, self._finishing = self._finishing, []
        return [one.feed for one in (*finishing, *self._followed.values())]

    def directories(self) -> set[str]:
        """Return the directories in which something may grow."""
        return {os.path.dirname(one.reader.path) or "." for one in self._followed.values()}

    def acknowledge(self, key: str, end: int, positions: Positions) -> None:
        """Note that everything of a file below `end` is shipped; `key` is the second part of its feed's key."""
        name, _, _ = key.rpartition(":")
        one = self._followed.get(name)
        # A content that has been truncated away meanwhile has no position any more.
        if one is not None and one.feed.key[1] == key:
            positions.set_file(name, one.reader.position(end))

    def active(self) -> list[Feed]:
        """Return the feeds of all files that are followed at present."""
        return [one.feed for one in list(self._followed.values())]

    def _scan(self, positions: Positions, now_s: float, *, first: bool) -> None:
        there: dict[str, str] = {}
        for pattern in self._patterns:
            for path in sorted(glob.glob(pattern)):
                if path.endswith(_COMPRESSED):
                    continue
                try:
                    there.setdefault(identity(os.stat(path)), path)
                except OSError:
                    continue
        if first:
            # Renamed while we were away, perhaps to a name that no pattern matches.
            for name, position in list(positions.files().items()):
                if name not in there and not self._renamed(name, position):
                    positions.forget_file(name)
        self.waiting = 0
        for name, path in there.items():
            one = self._followed.get(name)
            if one is not None:
                one.reader.path = path
                one.since_s = 0.0
            elif len(self._followed) >= self._open_files:
                self.waiting += 1
            else:
                self._follow(path, positions.files().get(name))
        for name, one in list(self._followed.items()):
            if name in there:
                continue
            if one.since_s == 0.0 or one.reader.offset != one.read_to:
                one.since_s = now_s
                one.read_to = one.reader.offset
            elif now_s - one.since_s >= LINGER_S and one.reader.lag_bytes() == 0:
                self._finish(name)

    def _renamed(self, name: str, position: FilePosition) -> bool:
        """Follow a file that is still in its directory under another name."""
        directory = os.path.dirname(position.path) or "."
        try:
            with os.scandir(directory) as entries:
                inode = int(name.partition(":")[2])
                paths = [entry.path for entry in entries if entry.inode() == inode]
        except (OSError, ValueError):
            return False
        return any(self._follow(path, position, name) for path in paths)

    def _follow(
        self, path: str, position: FilePosition | None, expected: str | None = None
    ) -> bool:
        fd = open_log(path)
        if fd is None:
            return False
        if expected is not None and identity(os.fstat(fd)) != expected:
            os.close(fd)
            return False
        reader = TailReader(fd, path, position)
        self._add(reader)
        return True

    def _add(self, reader: TailReader) -> None:
        self._generation += 1
        name = os.path.basename(reader.path)
        feed = Feed(
            (FILES, f"{reader.identity}:{self._generation}"),
            reader,
            run=self._run,
            stream=f"file:{reader.path}",
            position=reader.offset,
            scope=SCOPE,
            attributes={
                "pillion.run": self._run,
                "pillion.stream": f"file:{reader.path}",
                "log.file.path": reader.path,
                "log.file.name": name,
            },
            cap_bytes=self._cap_bytes,
            joiner=self._joiner(),
        )
        self._followed[reader.identity] = _Followed(reader, feed)

    def _truncated(self, now_s: float) -> None:
        del now_s
        for name, one in list(self._followed.items()):
            if one.reader.truncated:
                path = one.reader.path
                self._finish(name)
                fd = open_log(path)
                if fd is not None:
                    self._add(TailReader(fd, path))

    def _finish(self, name: str) -> None:
        """What is held back of the file is its end."""
        one = self._followed.pop(name)
        one.feed.final = True
        self._finishing.append(one)
