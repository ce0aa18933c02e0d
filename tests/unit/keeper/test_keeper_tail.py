"""A tail reads what is there, in order, past damage and deletions, and misses nothing that its writer finishes meanwhile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import pytest
from spool_files import damage, put

from pillion.keeper.chunks import MAX_PAYLOAD_BYTES, encode_chunk
from pillion.keeper.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def tail(tmp_path: Path) -> Iterator[Callable[[int], Tail]]:
    made: list[Tail] = []

    def make(offset: int = 0) -> Tail:
        made.append(Tail(str(tmp_path), offset))
        return made[-1]

    yield make
    for one in made:
        one.close()


def rest(one: Tail) -> list[tuple[int, bytes]]:
    found = []
    while (chunk := one.read()) is not None:
        found.append(chunk)
    return found


def test_nothing_is_read_before_there_is_a_directory(tmp_path: Path) -> None:
    assert Tail(f"{tmp_path}/absent").read() is None


def test_chunks_are_read_across_segments(tmp_path: Path, tail: Callable[..., Tail]) -> None:
    put(tmp_path, 0, b"a", b"bb")
    put(tmp_path, 3, b"c")
    assert rest(tail()) == [(0, b"a"), (1, b"bb"), (3, b"c")]


def test_a_chunk_that_grows_is_read_when_it_is_whole(
    tmp_path: Path, tail: Callable[..., Tail]
) -> None:
    path = put(tmp_path, 0, b"a")
    chunk = encode_chunk(b"hello", 1, 1)
    one = tail()
    assert rest(one) == [(0, b"a")]
    for byte in chunk[:-1]:
        with path.open("ab") as file:
            file.write(bytes([byte]))
        assert one.read() is None
    with path.open("ab") as file:
        file.write(chunk[-1:])
    assert one.read() == (1, b"hello")


def test_a_position_inside_a_segment_is_found(tmp_path: Path, tail: Callable[..., Tail]) -> None:
    put(tmp_path, 0, b"aa", b"bb")
    put(tmp_path, 4, b"cc", b"dd")
    assert rest(tail(6)) == [(6, b"dd")]


def test_a_gap_shows_in_the_offsets(tmp_path: Path, tail: Callable[..., Tail]) -> None:
    put(tmp_path, 0, b"aa")
    put(tmp_path, 9, b"cc")
    one = tail()
    assert rest(one) == [(0, b"aa"), (9, b"cc")]
    assert one.offset == 11


def test_a_deleted_segment_is_a_gap(tmp_path: Path, tail: Callable[..., Tail]) -> None:
    put(tmp_path, 0, b"aa")
    put(tmp_path, 2, b"bb").unlink()
    put(tmp_path, 4, b"cc")
    assert rest(tail()) == [(0, b"aa"), (4, b"cc")]


def test_a_segment_deleted_while_it_is_read_is_read_to_its_end(
    tmp_path: Path, tail: Callable[..., Tail]
) -> None:
    path = put(tmp_path, 0, b"aa", b"bb")
    put(tmp_path, 4, b"cc")
    one = tail()
    assert one.read() == (0, b"aa")
    path.unlink()
    assert rest(one) == [(2, b"bb"), (4, b"cc")]


def test_everything_may_be_deleted(tmp_path: Path, tail: Callable[..., Tail]) -> None:
    path = put(tmp_path, 0, b"aa")
    one = tail()
    rest(one)
    path.unlink()
    assert one.read() is None
    put(tmp_path, 7, b"bb")
    assert rest(one) == [(7, b"bb")]


def test_a_damaged_chunk_is_passed_over(tmp_path: Path, tail: Callable[..., Tail]) -> None:
    path = put(tmp_path, 0, b"aa", b"bb", b"cc")
    for at in range(32, 32 + 34):
        damage(path, at)
        assert rest(tail()) == [(2, b"bb"), (4, b"cc")], f"byte {at}"
        damage(path, at)


@pytest.mark.parametrize("size", [100_000, 200_000, MAX_PAYLOAD_BYTES])
def test_a_damaged_chunk_of_any_size_costs_no_other(
    tmp_path: Path, tail: Callable[..., Tail], size: int
) -> None:
    damage(put(tmp_path, 0, b"a" * size, b"b" * size, b"c" * size, b"d"), 32 + 100)
    assert [offset for offset, _ in rest(tail())] == [size, 2 * size, 3 * size]


def test_a_long_stretch_of_nonsense_is_passed_over(
    tmp_path: Path, tail: Callable[..., Tail]
) -> None:
    path = put(tmp_path, 0, b"a")
    path.write_bytes(path.read_bytes() + b"CHNK" * 200_000 + encode_chunk(b"b", 9, 1))
    assert rest(tail()) == [(0, b"a"), (9, b"b")]


def test_a_torn_tail_is_left_for_the_next_segment(
    tmp_path: Path, tail: Callable[..., Tail]
) -> None:
    path = put(tmp_path, 0, b"aa", b"bb")
    path.write_bytes(path.read_bytes()[:-1])
    one = tail()
    assert rest(one) == [(0, b"aa")]
    put(tmp_path, 2, b"bb")
    assert rest(one) == [(2, b"bb")]


def test_a_seek_goes_on_at_the_first_chunk_behind_it(
    tmp_path: Path, tail: Callable[..., Tail]
) -> None:
    put(tmp_path, 0, b"aa", b"bb")
    put(tmp_path, 4, b"cc", b"dd")
    one = tail()
    one.read()
    one.seek(5)
    assert rest(one) == [(6, b"dd")]


class GrowsWhenListed:
    """A directory whose writer finishes one segment and begins the next between a reader's read and its look around."""

    def __init__(self, directory: Path, grow: Callable[[], None]) -> None:
        self._directory = directory
        self._grow = grow

    def __fspath__(self) -> str:
        self._grow()
        return str(self._directory)

    def __str__(self) -> str:
        return str(self._directory)


def test_the_last_chunk_of_a_segment_is_not_missed_when_it_is_finished_meanwhile(
    tmp_path: Path,
) -> None:
    path = put(tmp_path, 0, b"aa")
    one = Tail(str(tmp_path))
    assert one.read() == (0, b"aa")

    def finish() -> None:
        if not os.path.exists(f"{tmp_path}/00000000000000000004.seg"):
            with path.open("ab") as file:
                file.write(encode_chunk(b"bb", 2, 1))
            put(tmp_path, 4, b"cc")

    one._directory = cast("str", GrowsWhenListed(tmp_path, finish))
    assert rest(one) == [(2, b"bb"), (4, b"cc")]
    one.close()
