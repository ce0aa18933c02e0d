"""The spool's format, byte by byte: what ARCHITECTURE.md promises to every reader."""

from __future__ import annotations

import struct
import zlib

import pytest

from pillion.keeper import chunks

CHUNK = chunks.encode_chunk(b"hello\n", 1000, 1_700_000_000_000_000_000)


def test_a_segments_name_sorts_by_offset() -> None:
    names = [chunks.segment_name(n) for n in (0, 9, 10, 1 << 40, (1 << 64) - 1)]
    assert names == sorted(names)
    assert names[1] == "00000000000000000009.seg"


@pytest.mark.parametrize("offset", [0, 7, 10**19])
def test_a_segments_name_tells_its_offset(offset: int) -> None:
    assert chunks.segment_offset(chunks.segment_name(offset)) == offset


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".seg",
        "7.seg",
        "00000000000000000007",
        "00000000000000000007.seg.new",
        "0000000000000000000x.seg",
        "\u0660" * 20 + ".seg",
        "\u00b2" * 20 + ".seg",
        "-0000000000000000007.seg",
        "run.json",
    ],
)
def test_other_names_are_no_segments(name: str) -> None:
    assert chunks.segment_offset(name) is None


def test_a_segment_header_is_laid_out_as_documented() -> None:
    header = chunks.segment_header(5, 6)
    assert len(header) == 32
    magic, first, created, crc, zero = struct.unpack("<8sQQII", header)
    assert (magic, first, created, zero) == (b"PILLSEG1", 5, 6, 0)
    assert crc == zlib.crc32(header[:24])


def test_a_chunk_is_laid_out_as_documented() -> None:
    magic, crc, length, flags, offset, time_ns = struct.unpack_from("<IIIIQQ", CHUNK)
    assert (magic, length, flags, offset) == (0x4B4E4843, 6, 0, 1000)
    assert time_ns == 1_700_000_000_000_000_000
    assert crc == zlib.crc32(CHUNK[8:])
    assert CHUNK[32:] == b"hello\n"


def test_a_segment_header_that_is_whole_is_read() -> None:
    assert chunks.read_segment_header(chunks.segment_header(5, 6) + b"more") == (5, 6)


def test_a_segment_header_with_a_flipped_byte_is_none() -> None:
    for at in range(28):
        header = bytearray(chunks.segment_header(5, 6))
        header[at] ^= 0x40
        assert chunks.read_segment_header(header) is None, f"byte {at}"


def test_a_short_segment_header_is_none() -> None:
    assert chunks.read_segment_header(chunks.segment_header(5, 6)[:31]) is None


def test_a_torn_chunk_is_none() -> None:
    assert [n for n in range(len(CHUNK)) if chunks.read_chunk(CHUNK[:n], 0)] == []


def test_a_chunk_with_a_flipped_byte_is_none() -> None:
    for at in range(len(CHUNK)):
        damaged = bytearray(CHUNK)
        damaged[at] ^= 1
        assert chunks.read_chunk(damaged, 0) is None, f"byte {at}"


def test_a_chunk_longer_than_any_is_none() -> None:
    payload = bytes(chunks.MAX_PAYLOAD_BYTES + 1)
    assert chunks.read_chunk(chunks.encode_chunk(payload, 0, 0), 0) is None
    assert chunks.read_chunk(chunks.encode_chunk(payload[1:], 0, 0), 0) is not None


def test_the_next_undamaged_chunk_is_found() -> None:
    damaged = bytearray(CHUNK)
    damaged[40 % len(CHUNK)] ^= 1
    data = bytes(damaged) + b"CHNKCHNK" + CHUNK
    assert chunks.find_chunk(data, 0) == len(CHUNK) + 8
    assert chunks.find_chunk(data, len(CHUNK) + 9) is None


def test_chunks_are_told_up_to_the_first_damage() -> None:
    damaged = bytearray(CHUNK)
    damaged[-1] ^= 1
    data = CHUNK + CHUNK + bytes(damaged) + CHUNK
    assert [at for at, *_ in chunks.iter_chunks(data)] == [0, len(CHUNK)]
