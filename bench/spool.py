"""What a spool holds, read by its written format (ARCHITECTURE.md) and not by Pillion's own code: a loss must show here."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

_SEGMENT_BYTES = 32
_CHUNK = struct.Struct("<IIIIQQ")
_MAGIC = 0x4B4E4843


@dataclass(frozen=True, slots=True)
class Held:
    """`lines` and `bytes` that are there, `end` of the stream and `gap_bytes` missing before it."""

    lines: int
    bytes: int
    end: int
    gap_bytes: int


def held(directory: str) -> Held:
    """Read all segments of one stream of one run."""
    lines = total = end = gaps = 0
    for name in sorted(os.listdir(directory)):
        if not name.endswith(".seg"):
            continue
        with open(f"{directory}/{name}", "rb") as file:
            data = file.read()
        at = _SEGMENT_BYTES
        while at + _CHUNK.size <= len(data):
            magic, _, length, _, offset, _ = _CHUNK.unpack_from(data, at)
            start = at + _CHUNK.size
            if magic != _MAGIC or start + length > len(data):
                break
            gaps += offset - end
            end = offset + length
            lines += data.count(b"\n", start, start + length)
            total += length
            at = start + length
    return Held(lines, total, end, gaps)
