"""Bytes at places of bytes: in Python here, in C in `raw.pxd`, since a look at bytes in Python makes an object.

The compiled modules take the functions from there, and then nobody calls these; both are held to the same tests. Whoever
puts has made room: compiled, nothing looks whether there is any.
"""

from __future__ import annotations


def put(buffer: bytearray, at: int, data: bytes) -> int:
    """Copy `data` to `at`; return the place behind it."""
    end = at + len(data)
    buffer[at:end] = data
    return end


def put_part(buffer: bytearray, at: int, data: bytearray, size: int) -> int:
    """Copy the first `size` bytes of `data` to `at`; return the place behind them."""
    buffer[at : at + size] = data[:size]
    return at + size


def put_text(buffer: bytearray, at: int, text: str) -> int:
    """Write `text` as UTF-8, of which `text_size` has told the size; return the place behind it."""
    return put(buffer, at, text.encode())


def text_size(text: str) -> int:
    """Return how many bytes `text` takes as UTF-8, -1 when it cannot be had as such."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return -1


def put_varint(buffer: bytearray, at: int, value: int) -> int:
    """Write a non-negative `value` below 2**63 as a varint (at most 9 bytes); return the place behind it."""
    while value > 127:
        buffer[at] = value & 127 | 128
        value >>= 7
        at += 1
    buffer[at] = value
    return at + 1


def put_fixed64(buffer: bytearray, at: int, value: int) -> int:
    """Write a non-negative `value` below 2**63 as eight bytes, little-endian; return the place behind them."""
    buffer[at : at + 8] = value.to_bytes(8, "little")
    return at + 8


def varint_size(value: int) -> int:
    """Return how many bytes the varint of a non-negative `value` takes."""
    size = 1
    while value > 127:
        value >>= 7
        size += 1
    return size


def is_ascii(data: bytes) -> bool:
    """Whether no byte is above 127."""
    return data.isascii()


def has(data: bytes, byte: int, end: int) -> bool:
    """Whether `byte` stands in `data` before `end`."""
    return data.find(byte, 0, end) >= 0


def holds(data: bytes, part: bytes, rarest: int) -> bool:
    """Whether `part` stands anywhere in `data`; it is looked for by its byte at `rarest`."""
    del rarest  # Python's own search needs no such word
    return part in data


def same(data: bytes, at: int, part: bytes) -> bool:
    """Whether `part` stands at `at`, a place within `data`."""
    return data.startswith(part, at)
