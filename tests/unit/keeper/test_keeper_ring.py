"""The ring: nothing is lost but what is counted, to the byte, whoever dies at whatever point."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING

import pytest
from ring_model import ROOM, Driver, Killed, content

from pillion.keeper import chunks
from pillion.keeper.ring import BLOCK, DROP_NEWEST, DROP_OLDEST, SLAB_BYTES, Ring, create_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLABS = 3


@pytest.fixture
def driver() -> Iterator[Callable[..., Driver]]:
    made: list[Driver] = []

    def make(full: str = DROP_OLDEST, slabs: int = SLABS) -> Driver:
        made.append(Driver(full, slabs))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_chunk_comes_out_as_it_went_in(driver: Callable[..., Driver]) -> None:
    one = driver()
    one.read(100)
    batch = one.ring.take()
    assert batch is not None
    assert chunks.read_chunk(batch.data, 0) == (0, 1, 100)
    assert bytes(batch.data[chunks.CHUNK_HEADER_BYTES :]) == content(0, 100)
    assert (batch.first, one.ring.next_offset, one.ring.dropped) == (0, 100, 0)


def test_a_batch_holds_all_chunks_of_a_slab(driver: Callable[..., Driver]) -> None:
    one = driver()
    for _ in range(5):
        one.read(10)
    batch = one.ring.take()
    assert batch is not None
    assert [c[1] for c in chunks.iter_chunks(batch.data)] == [0, 10, 20, 30, 40]


def test_what_arrives_during_a_write_is_in_the_next_batch(driver: Callable[..., Driver]) -> None:
    one = driver()
    one.read(10)
    one.take()
    one.read(20)
    one.release(one.write())
    assert one.take()
    assert one.batch is not None
    assert one.batch.first == 10
    one.check()


def test_a_write_that_failed_is_offered_again(driver: Callable[..., Driver]) -> None:
    one = driver()
    one.read(10)
    one.take()
    one.release(0)
    assert one.take()
    assert one.batch is not None
    assert one.batch.first == 0


def test_a_write_that_stopped_in_the_middle_goes_on_there(driver: Callable[..., Driver]) -> None:
    one = driver()
    for _ in range(4):
        one.read(10)
    one.take()
    one.release(one.write(3))
    assert one.ring.written_to == 30
    one.take()
    assert one.batch is not None
    assert one.batch.first == 30
    one.check()


def test_drop_oldest_gives_up_one_slab(driver: Callable[..., Driver]) -> None:
    one = driver()
    one.fill(SLABS)
    assert one.ring.dropped == 0
    one.read(7)
    assert one.ring.dropped == ROOM
    one.check()
    assert one.delivered[0][0] == ROOM


def test_drop_oldest_gives_up_of_a_slab_only_what_is_not_on_disk(
    driver: Callable[..., Driver],
) -> None:
    one = driver()
    one.read(1000)
    one.read(ROOM - 1000 - chunks.CHUNK_HEADER_BYTES)
    one.take()
    one.release(one.write(1))
    one.fill(SLABS - 1)
    one.read(7)
    assert one.ring.dropped == ROOM - 1000 - chunks.CHUNK_HEADER_BYTES
    one.check()


def test_drop_oldest_passes_over_the_slab_that_the_disk_is_writing(
    driver: Callable[..., Driver],
) -> None:
    one = driver()
    one.fill(SLABS)
    one.take()
    one.read(7)
    assert one.ring.dropped == ROOM
    one.release(one.write())
    one.check()
    assert [offset for offset, _ in one.delivered] == [0, 2 * ROOM, 3 * ROOM]


def test_a_loss_behind_a_pinned_slab_is_not_counted_again_with_it(
    driver: Callable[..., Driver],
) -> None:
    """The disk hangs on slab 0, slab 1 is given up, the write fails in the end, and slab 0 is given up too."""
    one = driver()
    one.fill(SLABS)
    one.take()
    one.fill(1)
    assert one.ring.dropped == ROOM
    one.release(0)
    one.fill(1)
    assert one.ring.dropped == 2 * ROOM
    one.check()


def test_drop_newest_keeps_what_it_has(driver: Callable[..., Driver]) -> None:
    one = driver(DROP_NEWEST)
    one.fill(SLABS)
    one.read(1234)
    one.read(1)
    assert one.ring.dropped == 1235
    assert one.ring.next_offset == SLABS * ROOM + 1235
    one.take()
    one.release(one.write())
    one.read(50)
    one.check()
    assert one.delivered[-1] == (
        SLABS * ROOM + 1235,
        content(SLABS * ROOM + 1235, 50),
    )


def test_bytes_skipped_at_the_end_are_not_taken_for_spooled(driver: Callable[..., Driver]) -> None:
    """A mirror waits for everything that is on disk: a gap that no chunk follows never arrives there."""
    one = driver(DROP_NEWEST)
    one.fill(SLABS)
    one.read(99)
    one.drain()
    assert one.ring.written_to == SLABS * ROOM


def test_block_offers_no_room_until_a_slab_is_free(driver: Callable[..., Driver]) -> None:
    one = driver(BLOCK)
    one.fill(SLABS)
    assert one.read(1) == 0
    one.take()
    assert one.read(1) == 0
    one.release(one.write())
    assert one.read(1) == 1
    assert one.ring.dropped == 0
    one.check()


@pytest.mark.parametrize("ring_bytes", [0, 1 << 16, 1 << 20])
def test_a_ring_has_the_size_asked_for_and_three_slabs_at_least(ring_bytes: int) -> None:
    fd = create_memory(ring_bytes)
    slabs = max(3, ring_bytes // SLAB_BYTES)
    assert os.fstat(fd).st_size == mmap.PAGESIZE + slabs * SLAB_BYTES
    os.close(fd)


def test_memory_of_a_burst_goes_back_when_the_ring_is_empty(driver: Callable[..., Driver]) -> None:
    one = driver(slabs=16)
    one.fill(16)
    assert os.fstat(one.fd).st_blocks * 512 >= 16 * SLAB_BYTES
    one.drain()
    one.read(1)
    one.drain()
    assert os.fstat(one.fd).st_blocks * 512 <= 3 * SLAB_BYTES + mmap.PAGESIZE
    for _ in range(20):
        one.read(ROOM)
    one.check()


def test_no_descriptor_of_something_else_is_taken_for_a_ring() -> None:
    fd = os.memfd_create("other")
    os.ftruncate(fd, 1 << 20)
    with pytest.raises(AssertionError, match="is no ring"):
        Ring(fd)
    os.close(fd)


def test_the_next_scribe_finds_everything_as_it_was(driver: Callable[..., Driver]) -> None:
    one = driver()
    one.fill(SLABS)
    one.read(5)
    one.take()
    one.release(one.write())
    before = (one.ring.next_offset, one.ring.dropped, one.ring.pending_bytes)
    one.crash()
    assert (one.ring.next_offset, one.ring.dropped, one.ring.pending_bytes) == before
    one.read(6)
    one.check()


def test_the_next_scribe_writes_nothing_that_is_on_disk_already(
    driver: Callable[..., Driver],
) -> None:
    one = driver()
    for _ in range(4):
        one.read(10)
    one.take()
    one.write(2)
    one.crash()
    one.check()
    assert [offset for offset, _ in one.delivered] == [0, 10, 20, 30]


def test_what_is_on_disk_already_is_not_counted_as_dropped(driver: Callable[..., Driver]) -> None:
    one = driver()
    one.fill(SLABS)
    one.take()
    one.write()
    one.crash()
    one.read(1)
    assert one.ring.dropped == 0
    one.check()


def test_a_chunk_that_was_finished_but_not_entered_is_kept(driver: Callable[..., Driver]) -> None:
    one = driver()
    one.read(10)
    one.ring.left = 1
    with pytest.raises(Killed):
        one.read(20)
    one.crash()
    assert one.ring.next_offset == 30
    one.read(5)
    one.check()
    assert [offset for offset, _ in one.delivered] == [0, 10, 30]


def test_a_payload_without_a_header_is_no_chunk(driver: Callable[..., Driver]) -> None:
    one = driver()
    one.read(10)
    room = one.ring.reserve()
    assert room is not None
    room[:20] = b"x" * 20
    one.crash()
    assert one.ring.next_offset == 10
    one.check()


def test_chunks_of_a_slabs_earlier_life_are_not_taken_for_new_ones(
    driver: Callable[..., Driver],
) -> None:
    one = driver()
    for _ in range(4 * SLABS * SLAB_BYTES // 60_000):
        one.read(60_000)
        one.drain()
    one.crash()
    one.read(3)
    one.crash()
    assert one.ring.pending_bytes == 3 + chunks.CHUNK_HEADER_BYTES
    one.check()


@pytest.mark.parametrize("full", [DROP_OLDEST, DROP_NEWEST, BLOCK])
@pytest.mark.parametrize("store", range(1, 40))
def test_killed_at_every_store(driver: Callable[..., Driver], full: str, store: int) -> None:
    one = driver(full)
    one.ring.left = store
    try:
        for round_ in range(8):
            one.read(ROOM)
            if round_ % 4 == 3:
                one.read(ROOM)
                one.take()
                one.read(100)
                one.release(one.write(1))
    except Killed:
        one.crash()
    one.ring.left = 0
    one.read(200)
    one.crash()
    one.check()


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 40, 5000])
@pytest.mark.parametrize("came", [True, False])
def test_a_read_that_nobody_lived_to_enter_is_taken_over(length: int, came: bool) -> None:
    fd = create_memory(0)
    first = Ring(fd)
    room = first.reserve()
    assert room is not None
    room[:5] = b"first"
    first.commit(5, 1)
    room = first.reserve()
    assert room is not None
    first.intend(length)
    payload = b"x" * length
    if came:
        room[:length] = payload
    second = Ring(fd)
    batch = second.take()
    assert batch is not None
    held = [
        bytes(batch.data[a + chunks.CHUNK_HEADER_BYTES :][:n])
        for a, _, _, n in chunks.iter_chunks(batch.data)
    ]
    assert held == ([b"first", payload] if came else [b"first"])
    assert second.next_offset == 5 + (length if came else 0)
    # A third finds the same: the second entered it.
    assert Ring(fd).next_offset == second.next_offset
    os.close(fd)
