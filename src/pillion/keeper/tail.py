"""Reading a stream's segments behind its writer, chunk by chunk: what the mirror stands on."""

from __future__ import annotations

import os

from .chunks import (
    CHUNK_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    SEGMENT_HEADER_BYTES,
    find_chunk,
    read_chunk,
    segment_name,
    segment_offset,
)

_BLOCK_BYTES = MAX_PAYLOAD_BYTES + CHUNK_HEADER_BYTES


class Tail:
    """A position in a stream. `offset` is the next byte wanted; a jump of it on `read` is a loss of exactly the difference."""

    def __init__(self, directory: str, offset: int = 0) -> None:
        self._directory = directory
        self.offset = offset
        self._fd = -1
        self._first = -1
        self._at = 0
        # Whether a later segment was seen, so that this one grows no more.
        self._sealed = False

    def read(self) -> tuple[int, bytes] | None:
        """Return `(offset, payload)` of the next chunk, or None when there is none yet. May wait for the disk."""
        while True:
            if self._fd < 0 and not self._open_next():
                return None
            block = os.pread(self._fd, _BLOCK_BYTES, self._at)
            chunk = read_chunk(block, 0)
            if chunk is not None:
                offset, _, length = chunk
                self._at += CHUNK_HEADER_BYTES + length
                if offset < self.offset:
                    continue
                self.offset = offset + length
                return offset, block[CHUNK_HEADER_BYTES : CHUNK_HEADER_BYTES + length]
            further = self._past_damage() if block else 0
            if further:
                self._at += further
            elif not self._sealed:
                # Between our read and the next segment's creation the writer may have finished this one: look once more.
                self._sealed = self._next_first() is not None
                if not self._sealed:
                    return None
            elif not self._open_next():
                return None

    def _past_damage(self) -> int:
        """Return how far the next place is at which a chunk may start, 0 when all that follows is a torn tail."""
        window = os.pread(self._fd, 2 * _BLOCK_BYTES, self._at)
        found = find_chunk(window, 1)
        if found is not None:
            return found
        # A chunk that starts in the first half of a whole window would have been whole in it.
        return _BLOCK_BYTES if len(window) == 2 * _BLOCK_BYTES else 0

    def _next_first(self) -> int | None:
        try:
            offsets = sorted(
                o for o in map(segment_offset, os.listdir(self._directory)) if o is not None
            )
        except FileNotFoundError:
            return None
        if self._first < 0:
            # The last segment that starts at or before the wanted offset, else the first there is.
            wanted = [o for o in offsets if o <= self.offset][-1:] or offsets[:1]
        else:
            wanted = [o for o in offsets if o > self._first][:1]
        return wanted[0] if wanted else None

    def _open_next(self) -> bool:
        """Go on to the segment behind the present one, when there is one."""
        first = self._next_first()
        if first is None:
            return False
        try:
            fd = os.open(f"{self._directory}/{segment_name(first)}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self.close()
        self._fd, self._first, self._at, self._sealed = fd, first, SEGMENT_HEADER_BYTES, False
        return True

    def seek(self, offset: int) -> None:
        """Go on at the first chunk that starts at or behind `offset`."""
        self.close()
        self.offset, self._first = offset, -1

    def close(self) -> None:
        """Close the open segment."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
