"""The scribe's ring: what was read from a pipe and is not on disk yet, in slabs of shared memory.

The memory is a memfd that the keeper holds too, and it keeps its own books (a table in the same memory), so a scribe that is killed
loses nothing: the next one takes the ring over as it stands. Slabs, not one circle, because a stalled disk pins the slab it is
writing: the others can still be dropped and used again.
"""

from __future__ import annotations

import _thread
import mmap
import os
import struct
import time

from .chunks import CHUNK_HEADER, CHUNK_HEADER_BYTES, put_chunk_header, read_chunk

SLAB_BYTES = 256 * 1024
DROP_OLDEST = "drop_oldest"
DROP_NEWEST = "drop_newest"
BLOCK = "block"

# Table: magic, slab count, next offset, dropped bytes, and how far the mirror has come; then per slab: sequence (0: free), offset behind its last chunk, used, written,
# sealed, and what had been dropped when it was opened: taking a slab from its old bytes and counting them is one store.
_HEAD = struct.Struct("<QQQQ")
_MIRRORED = struct.Struct("<Q")
_MIRRORED_AT = _HEAD.size
# A read under way: sequence of its slab, place in it, and how many bytes it will bring.
_INTENT = struct.Struct("<QQQ")
_INTENT_AT = _MIRRORED_AT + _MIRRORED.size
_TABLE_AT = _INTENT_AT + _INTENT.size
# Stands where the first and the last bytes of a read will be; no UTF-8 text holds it.
_NOTHING_YET = b"\xff\xfe\xfd\xfc\xff\xfb\xfa\xf9" * 2
_ENTRY = struct.Struct("<QQQQQQ")
_MAGIC = 0x344E4952_4E4F4C50
# A slab with less room than this is sealed: reads of a few bytes would cost more in headers than they bring.
_MIN_ROOM = 4096
# Slabs kept in memory after a burst; the pages of the rest go back to the kernel when the ring is empty.
_KEPT_SLABS = 2


def create_memory(ring_bytes: int) -> int:
    """Return a memfd for a ring of at least three slabs and about `ring_bytes`; pages are taken as they are used."""
    fd = os.memfd_create("pillion-ring", os.MFD_CLOEXEC)
    slabs = max(3, ring_bytes // SLAB_BYTES)
    os.ftruncate(fd, _table_bytes(slabs) + slabs * SLAB_BYTES)
    os.pwrite(fd, _HEAD.pack(_MAGIC, slabs, 0, 0), 0)
    return fd


def _table_bytes(slabs: int) -> int:
    return -(-(_TABLE_AT + slabs * _ENTRY.size) // mmap.PAGESIZE) * mmap.PAGESIZE


class _Slab:
    __slots__ = ("dropped", "end", "index", "sealed", "sequence", "used", "written")

    def __init__(self, index: int) -> None:
        self.index = index
        self.sequence = 0
        self.end = 0
        self.used = 0
        self.written = 0
        self.sealed = False
        self.dropped = 0


class Batch:
    """Whole chunks for the disk: `data` is a view of the ring, `first` the stream's offset at its start."""

    __slots__ = ("data", "first", "slab")

    def __init__(self, slab: _Slab, data: memoryview, first: int) -> None:
        self.slab = slab
        self.data = data
        self.first = first


class Ring:
    """One stream's ring. One thread reads in (`reserve`, `commit`, `skip`), another writes out (`take`, `release`).

    `next_offset` is where the next byte of the stream goes; `dropped` counts bytes given up since the start of the run.
    """

    def __init__(self, fd: int, full: str = DROP_OLDEST) -> None:
        self._map = mmap.mmap(fd, 0)
        self._view = memoryview(self._map)
        magic, count, self.next_offset, self.dropped = _HEAD.unpack_from(self._view)
        assert magic == _MAGIC, "the descriptor is no ring"
        self._full = full
        self._base = _table_bytes(count)
        self._slabs = [_Slab(i) for i in range(count)]
        self._order: list[_Slab] = []
        self._pinned: _Slab | None = None
        self._lock = _thread.allocate_lock()
        self._sequence = 0
        self._reserved = 0
        self._top = 0
        # Offset behind the last byte that was released: everything below is on disk or dropped.
        self.written_to = 0
        self._recover()

    def _recover(self) -> None:
        for slab in self._slabs:
            slab.sequence, slab.end, slab.used, slab.written, sealed, slab.dropped = (
                _ENTRY.unpack_from(self._view, _TABLE_AT + slab.index * _ENTRY.size)
            )
            slab.sealed = bool(sealed)
            if slab.sequence:
                self._order.append(slab)
        self._order.sort(key=lambda slab: slab.sequence)
        if not self._order:
            return
        last = self._order[-1]
        self._sequence = last.sequence
        self._top = max(slab.index for slab in self._order)
        # Killed between the store of a slab and that of the head: the slab is right.
        self.next_offset = max(self.next_offset, last.end)
        self.dropped = max(self.dropped, last.dropped)
        # A chunk that was finished but not yet entered in the table: the read had happened, so its bytes are nowhere else.
        data = self._slab_view(last)
        chunk = None if last.sealed else read_chunk(data, last.used)
        if chunk is None and not last.sealed and (came := self._came(last)):
            # Its header was not written yet; the arrival is lost with the scribe, and now is near enough.
            put_chunk_header(data, last.used, came, self.next_offset, time.time_ns())
            chunk = read_chunk(data, last.used)
        if chunk is not None and chunk[0] == self.next_offset:
            last.used += CHUNK_HEADER_BYTES + chunk[2]
            self.next_offset += chunk[2]
            last.end = self.next_offset
            self._store(last)
        self._store_head()

    def _slab_view(self, slab: _Slab) -> memoryview:
        start = self._base + slab.index * SLAB_BYTES
        return self._view[start : start + SLAB_BYTES]

    def _store(self, slab: _Slab) -> None:
        at = _TABLE_AT + slab.index * _ENTRY.size
        _ENTRY.pack_into(
            self._view,
            at,
            slab.sequence,
            slab.end,
            slab.used,
            slab.written,
            slab.sealed,
            slab.dropped,
        )

    def _store_head(self) -> None:
        _HEAD.pack_into(self._view, 0, _MAGIC, len(self._slabs), self.next_offset, self.dropped)

    @property
    def mirrored(self) -> int:
        """Offset behind the last byte that the mirror has handed on, over the deaths of scribes."""
        return int(_MIRRORED.unpack_from(self._view, _MIRRORED_AT)[0])

    def mark_mirrored(self, offset: int) -> None:
        """Remember how far the mirror has come."""
        _MIRRORED.pack_into(self._view, _MIRRORED_AT, offset)

    @property
    def pending_bytes(self) -> int:
        """Bytes in the ring that are not on disk, chunk headers included."""
        with self._lock:
            return sum(slab.used - slab.written for slab in self._order)

    def reserve(self, least: int = 0) -> memoryview | None:
        """Return room for one read of at least `least` bytes (at most a quarter of a slab), or None when the ring is full.

        Then `skip` what is read (drop_newest), or do not read (block).
        """
        with self._lock:
            slab = self._order[-1] if self._order else None
            if (
                slab is not None
                and not slab.sealed
                and SLAB_BYTES - slab.used < CHUNK_HEADER_BYTES + max(least, _MIN_ROOM)
            ):
                slab.sealed = True
                self._store(slab)
                if slab.written == slab.used and slab is not self._pinned:
                    self._free(slab)
            if slab is None or slab.sealed:
                slab = self._open_slab()
                if slab is None:
                    return None
            self._reserved = slab.used + CHUNK_HEADER_BYTES
            return self._slab_view(slab)[self._reserved :]

    def _open_slab(self) -> _Slab | None:
        free = next((slab for slab in self._slabs if not slab.sequence), None)
        if free is None:
            if self._full != DROP_OLDEST:
                return None
            oldest = next((slab for slab in self._order if slab is not self._pinned), None)
            if oldest is None:
                return None
            self.dropped += oldest.end - self._first_unwritten(oldest)
            self._order.remove(oldest)
            free = oldest
        self._sequence += 1
        free.sequence, free.end, free.used, free.written = self._sequence, self.next_offset, 0, 0
        free.sealed, free.dropped = False, self.dropped
        self._order.append(free)
        self._top = max(self._top, free.index)
        self._store(free)
        self._store_head()
        return free

    def _first_unwritten(self, slab: _Slab) -> int:
        return slab.end if slab.written == slab.used else self._chunk(slab, slab.written)[0]

    def _chunk(self, slab: _Slab, at: int) -> tuple[int, int]:
        """Offset and whole length of the chunk at `at`; what the ring holds was checked when it was read in or taken over."""
        _, _, length, _, offset, _ = CHUNK_HEADER.unpack_from(self._slab_view(slab), at)
        return offset, CHUNK_HEADER_BYTES + length

    def _free(self, slab: _Slab) -> None:
        self._order.remove(slab)
        slab.sequence = 0
        self._store(slab)
        if not self._order and self._top >= _KEPT_SLABS:
            start = self._base + _KEPT_SLABS * SLAB_BYTES
            self._map.madvise(mmap.MADV_REMOVE, start, (self._top + 1 - _KEPT_SLABS) * SLAB_BYTES)
            self._top = 0

    def intend(self, length: int) -> None:
        """Say that the next thing to happen is a read of exactly `length` bytes into the reserved room.

        A scribe that is killed between such a read and its `commit` loses nothing: where the marks are gone the bytes have come.
        """
        with self._lock:
            slab = self._order[-1]
            data = self._slab_view(slab)
            for place in self._marks(self._reserved, length):
                data[place] = _NOTHING_YET[: place.stop - place.start]
            _INTENT.pack_into(self._view, _INTENT_AT, slab.sequence, self._reserved, length)

    @staticmethod
    def _marks(at: int, length: int) -> tuple[slice, slice]:
        size = min(length, len(_NOTHING_YET))
        return slice(at, at + size), slice(at + length - size, at + length)

    def _came(self, slab: _Slab) -> int:
        """How many bytes came by a read that was never committed: what was intended, or none."""
        sequence, at, length = _INTENT.unpack_from(self._view, _INTENT_AT)
        if sequence != slab.sequence or at != slab.used + CHUNK_HEADER_BYTES or not length:
            return 0
        data = self._slab_view(slab)
        untouched = [data[p] == _NOTHING_YET[: p.stop - p.start] for p in self._marks(at, length)]
        return 0 if any(untouched) else int(length)

    def commit(self, length: int, time_ns: int) -> None:
        """Enter the `length` bytes that were read into the reserved room, as one chunk."""
        with self._lock:
            slab = self._order[-1]
            put_chunk_header(self._slab_view(slab), slab.used, length, self.next_offset, time_ns)
            slab.used = self._reserved + length
            self.next_offset += length
            slab.end = self.next_offset
            self._store(slab)
            self._store_head()

    def skip(self, length: int) -> None:
        """Count bytes that were read and thrown away: the offsets show the gap."""
        with self._lock:
            self.next_offset += length
            self.dropped += length
            self._store_head()

    def take(self, spooled_to: int = 0) -> Batch | None:
        """Return the oldest chunks that are not on disk, at most a slab, and pin them; None when there are none.

        Chunks below `spooled_to` are on disk already (a scribe died between the write and the entry) and are passed over.
        """
        with self._lock:
            while self._order:
                slab = self._order[0]
                while slab.written < slab.used:
                    offset, whole = self._chunk(slab, slab.written)
                    if offset >= spooled_to:
                        self._pinned = slab
                        return Batch(slab, self._slab_view(slab)[slab.written : slab.used], offset)
                    slab.written += whole
                if not slab.sealed:
                    return None
                self._free(slab)
            return None

    def release(self, batch: Batch, length: int) -> None:
        """Enter that the first `length` bytes of the batch are on disk (whole chunks), and unpin it."""
        with self._lock:
            slab = batch.slab
            if length:
                slab.written += length
                self.written_to = self._first_unwritten(slab)
            self._pinned = None
            if slab.sealed and slab.written == slab.used:
                self._free(slab)
            else:
                self._store(slab)
