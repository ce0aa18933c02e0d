"""A ring as its users drive it: a pipe whose bytes tell their own offset, and a disk that remembers what it was given."""

from __future__ import annotations

import os
import random

from pillion.keeper import ring as rings
from pillion.keeper.chunks import CHUNK_HEADER_BYTES, iter_chunks
from pillion.keeper.ring import BLOCK, DROP_OLDEST, Batch, Ring

# No short period, so that a byte from a wrong place shows.
_BYTES = random.Random(11).randbytes(1 << 20)
ROOM = rings.SLAB_BYTES - CHUNK_HEADER_BYTES


def content(offset: int, length: int) -> bytes:
    """The stream's bytes from `offset` on."""
    start = offset % len(_BYTES)
    return (_BYTES * 2)[start : start + length]


class Killed(BaseException):
    """The process was killed at a store into the shared memory."""


class MortalRing(Ring):
    """Dies before the store number `left` from now on; 0 is never."""

    left = 0

    def _die(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed

    def _store(self, slab: rings._Slab) -> None:
        self._die()
        super()._store(slab)

    def _store_head(self) -> None:
        self._die()
        super()._store_head()


class Driver:
    """Reads into a ring and writes out of it; `delivered` is the disk: offsets with bytes, in the order of writing."""

    def __init__(self, full: str = DROP_OLDEST, slabs: int = 3) -> None:
        self.full = full
        self.fd = rings.create_memory(slabs * rings.SLAB_BYTES)
        self.ring = MortalRing(self.fd, full)
        self.delivered: list[tuple[int, bytes]] = []
        self.skipped = 0
        self.batch: Batch | None = None
        self.spooled_to = 0

    @property
    def spooled(self) -> int:
        """Where the disk ends."""
        return self.delivered[-1][0] + len(self.delivered[-1][1]) if self.delivered else 0

    def read(self, length: int) -> int:
        """One read of the pipe, as the scribe does it; returns the bytes read."""
        room = self.ring.reserve()
        if room is None:
            if self.full == BLOCK:
                return 0
            self.ring.skip(length)
            self.skipped += length
            return length
        length = min(length, len(room))
        room[:length] = content(self.ring.next_offset, length)
        self.ring.commit(length, 1)
        return length

    def fill(self, slabs: int) -> None:
        """Read slabs full, one chunk each."""
        for _ in range(slabs):
            assert self.read(ROOM) == ROOM

    def take(self) -> bool:
        """Begin a write to disk."""
        assert self.batch is None
        self.batch = self.ring.take(self.spooled_to)
        return self.batch is not None

    def write(self, chunks: int = 1 << 30) -> int:
        """Let the disk have that many chunks of the batch; returns the bytes for the release."""
        assert self.batch is not None
        done = 0
        for at, offset, _, length in list(iter_chunks(self.batch.data))[:chunks]:
            done = at + CHUNK_HEADER_BYTES
            self.delivered.append((offset, bytes(self.batch.data[done : done + length])))
            done += length
        return done

    def release(self, length: int) -> None:
        """End the write."""
        assert self.batch is not None
        batch, self.batch = self.batch, None
        self.ring.release(batch, length)

    def crash(self) -> None:
        """Forget everything but memory and disk, and go on as the next scribe does."""
        self.batch = None
        self.ring = MortalRing(self.fd, self.full)
        self.spooled_to = self.spooled
        # What is on disk already is passed over before anything else can happen to it (writer.StreamWriter).
        if self.take():
            self.release(0)

    def drain(self) -> None:
        """Write everything."""
        if self.batch is not None:
            self.release(self.write())
        while self.take():
            assert self.batch is not None
            whole = self.write()
            assert whole == len(self.batch.data)
            self.release(whole)

    def check(self) -> None:
        """Every byte was delivered once, in order and as it was, or is counted."""
        self.drain()
        at = 0
        lost = 0
        for offset, data in self.delivered:
            assert offset >= at, f"offset {offset} was delivered again, at {at}"
            assert data == content(offset, len(data)), f"other bytes at {offset}"
            lost += offset - at
            at = offset + len(data)
        lost += self.ring.next_offset - at
        assert self.ring.dropped == lost
        assert self.ring.pending_bytes == 0

    def close(self) -> None:
        """Give the memory back."""
        os.close(self.fd)
