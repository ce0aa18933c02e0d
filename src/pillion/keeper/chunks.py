"""The spool's format, so that the scribe's recovery and every reader agree on what a byte on disk means.

Pure: bytes in, bytes and tuples out. The layout is set down in ARCHITECTURE.md, "The spool's format".
"""

from __future__ import annotations

import struct
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Buffer = bytes | bytearray | memoryview

SEGMENT_MAGIC = b"PILLSEG1"
SEGMENT_HEADER = struct.Struct("<8sQQII")
SEGMENT_HEADER_BYTES = SEGMENT_HEADER.size

CHUNK_MAGIC = 0x4B4E4843  # "CHNK"
CHUNK_MAGIC_BYTES = CHUNK_MAGIC.to_bytes(4, "little")
CHUNK_HEADER = struct.Struct("<IIIIQQ")
CHUNK_HEADER_BYTES = CHUNK_HEADER.size
MAX_PAYLOAD_BYTES = 256 * 1024

# What the checksum covers of a chunk's header: everything after the checksum.
_CHECKED = struct.Struct("<IIQQ")
_CHECKED_AT = 8

SEGMENT_SUFFIX = ".seg"


def segment_name(first_offset: int) -> str:
    """Return the file name of the segment whose first chunk starts at `first_offset`; names sort by offset."""
    return f"{first_offset:020d}{SEGMENT_SUFFIX}"


def segment_offset(name: str) -> int | None:
    """Return the first offset that a segment's file name tells, or None when it is not a segment's name."""
    digits = name.removesuffix(SEGMENT_SUFFIX)
    if len(digits) != 20 or digits == name or not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits)


def segment_header(first_offset: int, created_ns: int) -> bytes:
    """Return the 32 bytes that open a segment; `created_ns` is nanoseconds since the epoch."""
    start = SEGMENT_HEADER.pack(SEGMENT_MAGIC, first_offset, created_ns, 0, 0)[:24]
    return start + struct.pack("<II", zlib.crc32(start), 0)


def read_segment_header(buffer: Buffer) -> tuple[int, int] | None:
    """Return `(first_offset, created_ns)`, or None when the first 32 bytes are no segment header."""
    if len(buffer) < SEGMENT_HEADER_BYTES:
        return None
    magic, first_offset, created_ns, crc, _ = SEGMENT_HEADER.unpack_from(buffer)
    if magic != SEGMENT_MAGIC or crc != zlib.crc32(memoryview(buffer)[:24]):
        return None
    return first_offset, created_ns


def put_chunk_header(
    buffer: bytearray | memoryview, at: int, length: int, offset: int, time_ns: int
) -> None:
    """Write the header of a chunk whose `length` payload bytes already stand behind it in `buffer`."""
    payload_at = at + CHUNK_HEADER_BYTES
    _CHECKED.pack_into(buffer, at + _CHECKED_AT, length, 0, offset, time_ns)
    crc = zlib.crc32(memoryview(buffer)[at + _CHECKED_AT : payload_at + length])
    struct.pack_into("<II", buffer, at, CHUNK_MAGIC, crc)


def encode_chunk(payload: bytes, offset: int, time_ns: int) -> bytes:
    """Return one whole chunk; `time_ns` is the arrival in nanoseconds since the epoch."""
    buffer = bytearray(CHUNK_HEADER_BYTES + len(payload))
    buffer[CHUNK_HEADER_BYTES:] = payload
    put_chunk_header(buffer, 0, len(payload), offset, time_ns)
    return bytes(buffer)


def read_chunk(
    buffer: Buffer, at: int, crc32: Callable[[memoryview], int] = zlib.crc32
) -> tuple[int, int, int] | None:
    """Return `(offset, time_ns, length)` of the chunk at `at`, or None when no whole, undamaged chunk is there.

    `crc32` is for readers who have a faster one. The payload is `buffer[at + CHUNK_HEADER_BYTES : at + CHUNK_HEADER_BYTES + length]`.
    """
    if at + CHUNK_HEADER_BYTES > len(buffer):
        return None
    magic, crc, length, flags, offset, time_ns = CHUNK_HEADER.unpack_from(buffer, at)
    end = at + CHUNK_HEADER_BYTES + length
    if magic != CHUNK_MAGIC or flags or length > MAX_PAYLOAD_BYTES or end > len(buffer):
        return None
    if crc != crc32(memoryview(buffer)[at + _CHECKED_AT : end]):
        return None
    return offset, time_ns, length


def iter_chunks(buffer: Buffer, at: int = 0) -> Iterator[tuple[int, int, int, int]]:
    """Yield `(at, offset, time_ns, length)` for each chunk up to the first that is torn or damaged."""
    while (chunk := read_chunk(buffer, at)) is not None:
        offset, time_ns, length = chunk
        yield at, offset, time_ns, length
        at += CHUNK_HEADER_BYTES + length


def find_chunk(buffer: bytes | bytearray, at: int) -> int | None:
    """Return the place of the next undamaged chunk at or after `at`, or None: how a reader gets past damage."""
    while (at := buffer.find(CHUNK_MAGIC_BYTES, at)) >= 0:
        if read_chunk(buffer, at) is not None:
            return at
        at += 1
    return None
