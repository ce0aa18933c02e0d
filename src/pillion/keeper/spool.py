"""Segments on disk: appended by the scribe, bounded by size and age, taken up again at the last whole chunk after a crash."""

from __future__ import annotations

import errno
import os
import time

from .chunks import (
    CHUNK_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    find_chunk,
    iter_chunks,
    read_chunk,
    read_segment_header,
    segment_header,
    segment_name,
    segment_offset,
)

_MIN_SEGMENT_BYTES = 256 * 1024
_MAX_SEGMENT_BYTES = 8 << 20
# Segments per quota: dropping the oldest one costs a sixteenth of what is kept.
_SEGMENTS_PER_QUOTA = 16


def segment_bytes(quota_bytes: int) -> int:
    """Return the size at which a segment is sealed."""
    return min(max(quota_bytes // _SEGMENTS_PER_QUOTA, _MIN_SEGMENT_BYTES), _MAX_SEGMENT_BYTES)


def spooled_end(directory: str) -> int:
    """Return the offset behind the last whole chunk of a stream's directory; 0 when it holds none.

    A torn tail (crash, full disk) is left where it is: readers stop at it and go on with the next segment.
    """
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return 0
    offsets = sorted(o for o in map(segment_offset, names) if o is not None)
    if not offsets:
        return 0
    end = offsets[-1]
    with open(f"{directory}/{segment_name(end)}", "rb") as file:
        data = file.read()
    if read_segment_header(data) is not None:
        for _, offset, _, length in iter_chunks(data, SEGMENT_HEADER_BYTES):
            end = offset + length
    return end


def segment_end(path: str, first_offset: int) -> int:
    """Return the offset behind the last chunk that a reader of this segment can get at, past damage too."""
    with open(path, "rb") as file:
        data = file.read()
    end, at = first_offset, SEGMENT_HEADER_BYTES
    while (found := find_chunk(data, at)) is not None:
        chunk = read_chunk(data, found)
        assert chunk is not None
        end = max(end, chunk[0] + chunk[2])
        at = found + CHUNK_HEADER_BYTES + chunk[2]
    return end


class SegmentWriter:
    """Appends whole chunks to a stream's directory. Not thread safe; every call may wait for the disk."""

    def __init__(self, directory: str, limit_bytes: int) -> None:
        self._directory = directory
        self._limit = limit_bytes
        self._fd = -1
        self._size = 0
        self.written_bytes = 0
        self._path: str | None = None
        os.makedirs(directory, mode=0o700, exist_ok=True)

    def append(self, data: memoryview, first_offset: int) -> int:
        """Write whole chunks; return how many bytes of `data` are now on disk: a whole number of chunks, all when nothing failed.

        Raises OSError (disk full, read-only, gone) when not one chunk went in; the file then ends at a whole chunk.
        """
        if self._fd < 0 or self._size >= self._limit:
            self._roll(first_offset)
        done = 0
        failure: OSError | None = None
        while done < len(data):
            try:
                done += os.write(self._fd, data[done:])
            except OSError as error:
                failure = error
                break
        whole = done
        if done < len(data):
            whole = 0
            for at, _, _, length in iter_chunks(data[:done]):
                whole = at + CHUNK_HEADER_BYTES + length
            self._cut_back(self._size + whole)
        self._size += whole
        self.written_bytes += whole
        if not whole and failure is not None:
            raise failure
        return whole

    def _cut_back(self, size: int) -> None:
        try:
            os.ftruncate(self._fd, size)
            os.lseek(self._fd, size, os.SEEK_SET)
        except OSError:
            # Cannot mend the tail: leave it torn and go on in a new segment.
            self.close()

    def _roll(self, first_offset: int) -> None:
        self.close()
        path = f"{self._directory}/{segment_name(first_offset)}"
        # A run whose directory was removed under us goes on in a new one. O_TRUNC: a segment of this very offset holds no whole chunk.
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            header = segment_header(first_offset, time.time_ns())
            if os.write(fd, header) != len(header):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        except OSError:
            os.close(fd)
            os.unlink(path)
            raise
        self._fd, self._size = fd, SEGMENT_HEADER_BYTES
        self._path = path

    @property
    def path(self) -> str | None:
        """The segment being written, which no quota removes."""
        return self._path if self._fd >= 0 else None

    def close(self) -> None:
        """Close the open segment."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
