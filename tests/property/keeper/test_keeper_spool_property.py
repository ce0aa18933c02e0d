"""A spool that was cut, flipped or thinned out: its reader invents nothing, and its next writer goes on without overwriting anything."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ring_model import content

from pillion.keeper.chunks import CHUNK_HEADER_BYTES, encode_chunk, find_chunk, read_chunk
from pillion.keeper.quota import Segment, choose
from pillion.keeper.spool import SegmentWriter, spooled_end
from pillion.keeper.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Sequence

BUDGET = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
lengths = st.lists(st.integers(1, 400), min_size=1, max_size=20)
damages = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), st.integers(0, 10**6), st.integers(0, 10**6)),
        st.tuples(st.just("cut"), st.integers(0, 10**6), st.integers(0, 10**6)),
        st.tuples(st.just("remove"), st.integers(0, 10**6), st.just(0)),
    ),
    max_size=3,
)


def write(directory: str, first: int, lengths: Sequence[int], limit: int) -> int:
    """Write chunks, each a batch of its own; returns the offset behind them."""
    writer = SegmentWriter(directory, limit)
    for length in lengths:
        chunk = memoryview(encode_chunk(content(first, length), first, 1))
        assert writer.append(chunk, first) == len(chunk)
        first += length
    writer.close()
    return first


def damage(directory: str, kind: str, which: int, at: int) -> None:
    names = sorted(os.listdir(directory))
    if not names:
        return
    path = f"{directory}/{names[which % len(names)]}"
    with open(path, "rb") as file:
        data = bytearray(file.read())
    if kind == "remove":
        os.unlink(path)
        return
    if kind == "cut":
        del data[at % (len(data) + 1) :]
    elif data:
        data[at % len(data)] ^= 1 << (at % 8)
    with open(path, "wb") as file:
        file.write(data)


def read(directory: str, offset: int = 0) -> list[tuple[int, bytes]]:
    tail = Tail(directory, offset)
    found = []
    while (chunk := tail.read()) is not None:
        found.append(chunk)
    tail.close()
    return found


@BUDGET
@given(lengths, st.integers(1, 2000), st.data())
def test_what_is_written_is_read_from_any_position(
    lengths: list[int], limit: int, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        end = write(directory, 0, lengths, limit)
        assert spooled_end(directory) == end
        whole = read(directory)
        assert b"".join(part for _, part in whole) == content(0, end)
        start = data.draw(st.integers(0, end))
        assert read(directory, start) == [c for c in whole if c[0] >= start]


@BUDGET
@given(lengths, st.integers(1, 2000), damages)
def test_a_damaged_spool_is_read_in_order_and_as_it_was_written(
    lengths: list[int], limit: int, damages: list[tuple[str, int, int]]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        end = write(directory, 0, lengths, limit)
        written = read(directory)
        for kind, which, at in damages:
            damage(directory, kind, which, at)
        found = read(directory)
        # A part of what was written, in its order: nothing invented, nothing twice.
        assert [c for c in written if c in found] == found
        assert spooled_end(directory) <= end


@BUDGET
@given(lengths, lengths, st.integers(1, 2000), st.integers(0, 10**6))
def test_after_a_crash_at_any_byte_writing_goes_on_at_the_end(
    before: list[int], after: list[int], limit: int, cut: int
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        write(directory, 0, before, limit)
        last = len(os.listdir(directory)) - 1
        damage(directory, "cut", last, cut)
        kept = spooled_end(directory)
        end = write(directory, kept, after, limit)
        found = read(directory)
        assert b"".join(part for _, part in found) == content(0, end)
        assert spooled_end(directory) == end


@BUDGET
@given(st.binary(max_size=300), lengths, st.binary(max_size=300))
def test_a_chunk_is_found_behind_any_nonsense(
    before: bytes, lengths: list[int], after: bytes
) -> None:
    chunk = encode_chunk(content(0, lengths[0]), 7, 9)
    data = before + chunk + after
    found = find_chunk(data, 0)
    assert found == len(before)
    assert read_chunk(data, found) == (7, 9, lengths[0])
    assert read_chunk(data[: found + CHUNK_HEADER_BYTES + lengths[0] - 1], found) is None


segments = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 20)), max_size=12).map(
    lambda rows: [Segment(str(i), "r", "s", i, None, *row) for i, row in enumerate(rows)]
)


@BUDGET
@given(segments, st.integers(0, 6000), st.integers(0, 20), st.sets(st.integers(0, 11).map(str)))
def test_a_choice_removes_the_oldest_and_no_more_than_it_must(
    segments: list[Segment], quota: int, oldest_s: int, keep: set[str]
) -> None:
    chosen = choose(segments, quota, oldest_s, keep)
    assert not {s.path for s in chosen} & keep
    assert [s.modified_s for s in chosen] == sorted(s.modified_s for s in chosen)
    stays = [s for s in segments if s not in chosen and s.path not in keep]
    left = sum(s.bytes for s in segments) - sum(s.bytes for s in chosen)
    assert left <= quota or not stays
    assert all(s.modified_s >= oldest_s for s in stays)
    if chosen and chosen[-1].modified_s >= oldest_s:
        assert left + chosen[-1].bytes > quota, "the last one need not have gone"
    if chosen and stays:
        assert max(s.modified_s for s in chosen) <= min(s.modified_s for s in stays)
