"""One log file that somebody else writes, as a stream of chunks: known by its inode, whatever it is called by now.

An offset counts within the content that the file began with. A file that is truncated (copytruncate) begins anew: it is
recognised by a size below what was read, or by another beginning.
"""

from __future__ import annotations

import os
import stat
import time
import zlib
from typing import TYPE_CHECKING

from pillion.logs.positions import FilePosition
from pillion.logs.spool import Chunk, Gap

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK_BYTES = 256 * 1024
HEAD_BYTES = 256


def identity(status: os.stat_result) -> str:
    """Return a file's identity, `device:inode`."""
    return f"{status.st_dev}:{status.st_ino}"


def open_log(path: str) -> int | None:
    """Open a regular file for reading; None when it is gone, may not be read, or is something else."""
    try:
        # Without O_NONBLOCK, a FIFO that matches the pattern would hang us.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


class TailReader:
    """Follows the open file `fd`, which it owns, from where `position` was, or from its beginning.

    `truncated` turns true when the content has changed under us; what follows is for a new reader.
    """

    def __init__(
        self,
        fd: int,
        path: str,
        position: FilePosition | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.path = path
        self.identity = identity(os.fstat(fd))
        self.truncated = False
        self.offset = 0
        self._fd = fd
        self._now_ns = now_ns
        self._head = b""
        if position is not None:
            head = os.pread(fd, position.head_bytes, 0)
            size = os.fstat(fd).st_size
            if zlib.crc32(head) == position.head and size >= position.offset:
                self.offset = position.offset
                self._head = head

    @property
    def started_at(self) -> int:
        """Where reading began, or goes on."""
        return self.offset

    def read(self, *, final: bool = False) -> list[Chunk | Gap]:
        """Return the next block; empty at the end, and when the file was truncated. Raises `OSError`."""
        del final
        if self._fd < 0 or self.truncated:
            return []
        size = os.fstat(self._fd).st_size
        if size == self.offset:
            return []
        if size < self.offset or os.pread(self._fd, len(self._head), 0) != self._head:
            self.truncated = True
            return []
        data = os.pread(self._fd, BLOCK_BYTES, self.offset)
        if not data:
            return []
        if self.offset == len(self._head) and len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]
        chunk = Chunk(self.offset, self._now_ns(), data)
        self.offset += len(data)
        return [chunk]

    def lag_bytes(self) -> int:
        """Return how many bytes are still to be read."""
        if self._fd < 0 or self.truncated:
            return 0
        return max(0, os.fstat(self._fd).st_size - self.offset)

    def position(self, offset: int) -> FilePosition:
        """Return what is to be remembered once everything below `offset` is shipped."""
        head = self._head[:offset]
        return FilePosition(
            path=self.path, offset=offset, head=zlib.crc32(head), head_bytes=len(head)
        )

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
