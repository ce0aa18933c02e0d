"""Segments: written whole or not at all, full disk included, and taken up again where the last whole chunk ends."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from spool_files import put

from pillion.keeper import chunks
from pillion.keeper.chunks import SEGMENT_HEADER_BYTES, encode_chunk, iter_chunks, segment_name
from pillion.keeper.spool import SegmentWriter, segment_bytes, segment_end, spooled_end

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def batch(first: int, *payloads: bytes) -> memoryview:
    data = b""
    for payload in payloads:
        data += encode_chunk(payload, first, 1)
        first += len(payload)
    return memoryview(data)


def read(path: Path) -> list[tuple[int, int]]:
    data = path.read_bytes()
    found = [(offset, length) for _, offset, _, length in iter_chunks(data, SEGMENT_HEADER_BYTES)]
    whole = SEGMENT_HEADER_BYTES + sum(chunks.CHUNK_HEADER_BYTES + n for _, n in found)
    assert len(data) == whole, "the file does not end at a whole chunk"
    return found


@pytest.mark.parametrize(
    ("quota", "expected"),
    [(0, 256 << 10), (1 << 20, 256 << 10), (64 << 20, 4 << 20), (1 << 40, 8 << 20)],
)
def test_a_segment_is_a_sixteenth_of_the_quota_within_bounds(quota: int, expected: int) -> None:
    assert segment_bytes(quota) == expected


def test_a_writer_makes_its_directory_for_its_owner_alone(tmp_path: Path) -> None:
    writer = SegmentWriter(f"{tmp_path}/run/stdout", 1 << 20)
    writer.append(batch(0, b"a"), 0)
    writer.close()
    assert (tmp_path / "run/stdout").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "run/stdout" / segment_name(0)).stat().st_mode & 0o777 == 0o600


def test_a_segment_past_its_limit_is_followed_by_another(tmp_path: Path) -> None:
    writer = SegmentWriter(str(tmp_path), 200)
    writer.append(batch(0, b"x" * 100, b"y" * 100), 0)
    writer.append(batch(200, b"z"), 200)
    writer.close()
    assert sorted(os.listdir(tmp_path)) == [segment_name(0), segment_name(200)]
    assert read(tmp_path / segment_name(0)) == [(0, 100), (100, 100)]


def test_the_segment_being_written_is_named_while_it_is(tmp_path: Path) -> None:
    writer = SegmentWriter(str(tmp_path), 200)
    assert writer.path is None
    writer.append(batch(7, b"x"), 7)
    assert writer.path == f"{tmp_path}/{segment_name(7)}"
    writer.close()
    assert writer.path is None


def test_a_full_disk_ends_the_file_at_a_whole_chunk(
    small_disk: Callable[[int], Path],
) -> None:
    disk = small_disk(200 << 10)
    writer = SegmentWriter(str(disk), 1 << 30)
    data = batch(0, *[b"x" * 30_000] * 10)
    written = writer.append(data, 0)
    assert 0 < written < len(data)
    assert written % (30_000 + chunks.CHUNK_HEADER_BYTES) == 0
    assert read(disk / segment_name(0))[-1][0] == written // (30_000 + 32) * 30_000 - 30_000
    writer.close()


def test_a_full_disk_is_told_when_not_one_chunk_went_in(
    small_disk: Callable[[int], Path],
) -> None:
    disk = small_disk(64 << 10)
    writer = SegmentWriter(str(disk), 1 << 30)
    with pytest.raises(OSError, match="No space left") as caught:
        writer.append(batch(0, b"x" * 100_000), 0)
    assert caught.value.errno == errno.ENOSPC
    assert read(disk / segment_name(0)) == []
    writer.close()


def test_writing_goes_on_where_it_stopped_when_there_is_room_again(
    small_disk: Callable[[int], Path],
) -> None:
    disk = small_disk(200 << 10)
    (disk / "ballast").write_bytes(bytes(100 << 10))
    writer = SegmentWriter(str(disk), 1 << 30)
    data = batch(0, *[b"x" * 20_000] * 6)
    written = writer.append(data, 0)
    (disk / "ballast").unlink()
    first = written // (20_000 + 32) * 20_000
    assert writer.append(data[written:], first) == len(data) - written
    assert read(disk / segment_name(0)) == [(n * 20_000, 20_000) for n in range(6)]
    writer.close()


def test_no_empty_segment_stays_when_the_disk_has_no_room_for_its_header(
    small_disk: Callable[[int], Path],
) -> None:
    disk = small_disk(16 << 10)
    with pytest.raises(OSError, match="No space left"):
        (disk / "ballast").write_bytes(bytes(64 << 10))
    writer = SegmentWriter(str(disk), 1 << 30)
    with pytest.raises(OSError, match="No space left"):
        writer.append(batch(0, b"x"), 0)
    assert os.listdir(disk) == ["ballast"]
    (disk / "ballast").unlink()
    assert writer.append(batch(0, b"x"), 0) == 33
    writer.close()


def test_a_directory_that_was_removed_is_made_again_for_the_next_segment(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    writer = SegmentWriter(str(directory), 10)
    writer.append(batch(0, b"x" * 10), 0)
    (directory / segment_name(0)).unlink()
    directory.rmdir()
    writer.append(batch(10, b"y"), 10)
    writer.close()
    assert read(directory / segment_name(10)) == [(10, 1)]


def test_a_segment_without_a_whole_chunk_is_begun_anew(tmp_path: Path) -> None:
    path = put(tmp_path, 50, b"x" * 100)
    path.write_bytes(path.read_bytes()[:-1])
    assert spooled_end(str(tmp_path)) == 50
    writer = SegmentWriter(str(tmp_path), 1 << 20)
    writer.append(batch(50, b"y" * 100), 50)
    writer.close()
    assert read(path) == [(50, 100)]


def test_nothing_is_spooled_in_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert spooled_end(f"{tmp_path}/absent") == 0


def test_nothing_is_spooled_where_there_is_no_segment(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    assert spooled_end(str(tmp_path)) == 0


def test_the_last_segment_tells_where_the_spool_ends(tmp_path: Path) -> None:
    put(tmp_path, 0, b"a" * 10)
    put(tmp_path, 10, b"b" * 5, b"c" * 6)
    assert spooled_end(str(tmp_path)) == 21


def test_a_segment_cut_at_any_byte_ends_at_its_last_whole_chunk(tmp_path: Path) -> None:
    path = put(tmp_path, 100, b"a" * 10, b"b" * 20)
    data = path.read_bytes()
    ends = {}
    for kept in range(len(data) + 1):
        path.write_bytes(data[:kept])
        ends[kept] = spooled_end(str(tmp_path))
    assert ends == {kept: 130 if kept == 126 else 110 if kept >= 74 else 100 for kept in range(127)}


def test_a_flipped_byte_never_moves_the_end_but_to_a_whole_chunk_before_it(
    tmp_path: Path,
) -> None:
    path = put(tmp_path, 100, b"a" * 10, b"b" * 20)
    whole = path.read_bytes()
    ends = {}
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= 0x10
        path.write_bytes(data)
        ends[at] = spooled_end(str(tmp_path))
    # The last four bytes of a segment's header mean nothing.
    assert ends == {at: 130 if 28 <= at < 32 else 100 if at < 74 else 110 for at in range(126)}


def test_the_end_of_a_segment_is_behind_its_last_readable_chunk(tmp_path: Path) -> None:
    path = put(tmp_path, 100, b"a" * 10, b"b" * 20, b"c" * 30)
    data = bytearray(path.read_bytes())
    data[32 + 42 + 40] ^= 1
    path.write_bytes(data[:] + b"torn")
    assert segment_end(str(path), 100) == 160


def test_the_end_of_an_empty_segment_is_its_start(tmp_path: Path) -> None:
    assert segment_end(str(put(tmp_path, 100)), 100) == 100
