"""Segments as files, made by hand: what a reader or a recovery finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.keeper.chunks import encode_chunk, segment_header, segment_name

if TYPE_CHECKING:
    from pathlib import Path


def put(directory: Path, first: int, *payloads: bytes) -> Path:
    """Write a segment whose chunks follow each other; returns its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / segment_name(first)
    data = segment_header(first, 1)
    for payload in payloads:
        data += encode_chunk(payload, first, 1)
        first += len(payload)
    path.write_bytes(data)
    return path


def damage(path: Path, at: int) -> None:
    """Flip a byte."""
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)
