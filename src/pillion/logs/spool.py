"""One stream of the spool as chunks and exact gaps, so that every reader sees the same bytes and the same losses.

The writer appends, rolls to new segments and deletes old ones while we read; disks tear tails and flip
bits. A reader never invents a byte: what it yields has passed its checksum, and what is missing between two
chunks is a `Gap` of exactly the difference of their offsets.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from pillion.keeper.chunks import (
    CHUNK_HEADER,
    CHUNK_HEADER_BYTES,
    CHUNK_MAGIC,
    CHUNK_MAGIC_BYTES,
    MAX_PAYLOAD_BYTES,
    SEGMENT_HEADER_BYTES,
    read_chunk,
    read_segment_header,
    segment_name,
    segment_offset,
)
from pillion.logs.deflate import crc32

if TYPE_CHECKING:
    from collections.abc import Sequence

# Two of the longest chunks, so that one that begins in the first half is always whole.
BLOCK_BYTES = 2 * (MAX_PAYLOAD_BYTES + CHUNK_HEADER_BYTES)

DROPPED = "dropped"  # the writer's ring or quota policy: nothing on disk is wrong
DAMAGED = "damaged"  # bytes on disk did not check out
DELETED = "deleted"  # the segment is no longer there: the spool's quota took it


class Chunk(msgspec.Struct, frozen=True):
    """Bytes of a stream as they arrived: `offset` in the stream, `time_ns` since the epoch."""

    offset: int
    time_ns: int
    payload: bytes


class Gap(msgspec.Struct, frozen=True):
    """The bytes from `start` to before `end` are lost; `time_ns` is the arrival of what follows them."""

    start: int
    end: int
    why: str
    time_ns: int


class Scratch:
    """The block that segments are read into; one serves many readers, as long as they take turns."""

    def __init__(self) -> None:
        self.buffer = bytearray(BLOCK_BYTES)
        self.view = memoryview(self.buffer)


def segments(directory: str) -> list[int]:
    """Return the first offsets of the segments in `directory`, in order; none when it cannot be listed."""
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(first for name in names if (first := segment_offset(name)) is not None)


class StreamReader:
    """Follow one stream from `position` (an offset in the stream) on; holds at most one descriptor.

    Methods raise `OSError` when the disk refuses to be read; the reader stays where it was.
    """

    def __init__(self, directory: str, position: int = 0, scratch: Scratch | None = None) -> None:
        self.directory = directory
        self.expected = position
        self.torn_bytes = 0
        self._scratch = scratch or Scratch()
        self._fd = -1
        self._first = -1
        self._at = 0
        self._damaged = False
        self._deleted = False

    def close(self) -> None:
        """Give the descriptor back; reading on opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            # Opened again, the segment is walked from its start: what is below `expected` is passed over.
            self._first = -1
            self._at = 0

    def read(self, *, final: bool = False) -> list[Chunk | Gap]:
        """Return what one block holds, in order; empty when nothing is there yet.

        `final` says that nobody writes any more: what looks like a chunk being written is then damage.
        """
        while True:
            if self._fd < 0 and not self._open():
                return []
            items: list[Chunk | Gap] = []
            before = self._at
            self._parse(items, settled=False)
            if items:
                return items
            if self._at != before:
                continue
            following = [one for one in segments(self.directory) if one > self._first]
            if not following and not final:
                return []
            # The writer may have appended between our read and its roll to the next segment.
            self._parse(items, settled=True)
            if items:
                return items
            if self._at != before:
                continue
            if not following:
                return []
            self._roll(following[0])

    def lag_bytes(self) -> int:
        """Return about how many bytes of segments are still to be read (chunk headers included)."""
        lag = 0
        for first in segments(self.directory):
            if first >= self._first:
                try:
                    lag += os.stat(self._path(first)).st_size
                except FileNotFoundError:
                    continue
                lag -= self._at if first == self._first else SEGMENT_HEADER_BYTES
        return max(0, lag)

    def _path(self, first: int) -> str:
        return f"{self.directory}/{segment_name(first)}"

    def _open(self) -> bool:
        for _ in range(8):  # the quota may delete what was just listed
            there = segments(self.directory)
            if not there:
                return False
            below = [first for first in there if first <= self.expected]
            first = below[-1] if below else there[0]
            if self._open_segment(first):
                self._deleted = not below
                return True
        return False

    def _open_segment(self, first: int) -> bool:
        try:
            self._fd = os.open(self._path(first), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self._first, self._at = first, 0
        return True

    def _roll(self, following: int) -> None:
        status = os.fstat(self._fd)
        if status.st_size > self._at:
            self._damaged = True
            self.torn_bytes += status.st_size - self._at
        # A segment deleted under us was the quota's: the ones after it may be gone as well.
        deleted = status.st_nlink == 0
        os.close(self._fd)
        self._fd = -1
        if self._open_segment(following):
            self._deleted = deleted

    def _parse(self, items: list[Chunk | Gap], *, settled: bool) -> None:
        """Take the chunks of the block at the present place; `settled` when this segment grows no more."""
        view = self._scratch.view
        count = os.preadv(self._fd, [view], self._at)
        more = count == BLOCK_BYTES
        waits = not (settled or more)
        at = 0
        if self._at == 0:
            if count < SEGMENT_HEADER_BYTES and not settled:
                return
            if read_segment_header(view[:count]) is None:
                self._damaged = True
            at = min(SEGMENT_HEADER_BYTES, count)
        while at + CHUNK_HEADER_BYTES <= count:
            chunk = read_chunk(view[:count], at, crc32)
            if chunk is not None:
                offset, time_ns, length = chunk
                payload_at = at + CHUNK_HEADER_BYTES
                self._take(items, offset, time_ns, payload_at, length)
                at = payload_at + length
            elif (more and at > 0) or (waits and self._being_written(at, count)):
                # Read again from here: with a whole block before us, or when there is more of it.
                break
            else:
                found = self._find(at + 1, count, whole=not more)
                if found is None:
                    if waits:
                        break  # a recovery may yet cut this tail and write on in its place
                    found = count if settled and not more else count - len(CHUNK_MAGIC_BYTES) + 1
                self._damaged = True
                self.torn_bytes += found - at
                at = found
        else:
            if settled and not more and at < count:
                self._damaged = True
                self.torn_bytes += count - at
                at = count
        self._at += at

    def _being_written(self, at: int, count: int) -> bool:
        """Whether what stands at `at` may be a chunk whose end the writer has not written yet."""
        magic, _, length, flags, _, _ = CHUNK_HEADER.unpack_from(self._scratch.view, at)
        if magic != CHUNK_MAGIC or flags or length > MAX_PAYLOAD_BYTES:
            return False
        return bool(at + CHUNK_HEADER_BYTES + length >= count)

    def _find(self, at: int, count: int, *, whole: bool) -> int | None:
        """The next place with an undamaged chunk; without `whole` one that the block's end cuts will do."""
        view, buffer = self._scratch.view[:count], self._scratch.buffer
        while (at := buffer.find(CHUNK_MAGIC_BYTES, at, count)) >= 0:
            if read_chunk(view, at, crc32) is not None:
                return at
            if not whole:
                if at + CHUNK_HEADER_BYTES > count:
                    return at
                length = CHUNK_HEADER.unpack_from(view, at)[2]
                if length <= MAX_PAYLOAD_BYTES and at + CHUNK_HEADER_BYTES + length > count:
                    return at
            at += 1
        return None

    def _take(
        self, items: list[Chunk | Gap], offset: int, time_ns: int, at: int, length: int
    ) -> None:
        end = offset + length
        if offset > self.expected:
            why = DAMAGED if self._damaged else DELETED if self._deleted else DROPPED
            items.append(Gap(self.expected, offset, why, time_ns))
        elif offset < self.expected:
            # Written twice (a recovery), or below the position we started from.
            at += min(self.expected - offset, length)
            offset = min(self.expected, end)
        self._damaged = self._deleted = False
        if end > self.expected:
            items.append(Chunk(offset, time_ns, bytes(self._scratch.view[at : at + end - offset])))
            self.expected = end


def chunks_of(items: Sequence[Chunk | Gap]) -> int:
    """Return how many payload bytes `items` hold."""
    return sum(len(item.payload) for item in items if isinstance(item, Chunk))
