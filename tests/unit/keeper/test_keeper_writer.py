"""From the ring to the disk: a disk that fails costs time and ring space, never a byte that is not counted."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from ring_model import ROOM, Driver, content

from pillion.keeper.quota import Quota
from pillion.keeper.ring import BLOCK, DROP_NEWEST, DROP_OLDEST
from pillion.keeper.tail import Tail
from pillion.keeper.writer import Spooler, StreamWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RUN = "20260101T000000-aaaaaa"
SEGMENT = 256 << 10


@pytest.fixture
def driver() -> Iterator[Callable[..., Driver]]:
    made: list[Driver] = []

    def make(full: str = DROP_OLDEST) -> Driver:
        made.append(Driver(full))
        return made[-1]

    yield make
    for one in made:
        one.close()


def on_disk(directory: str) -> list[tuple[int, int]]:
    """Offset and length of every chunk, each checked against the stream's bytes."""
    tail = Tail(directory)
    found = []
    while (chunk := tail.read()) is not None:
        assert chunk[1] == content(chunk[0], len(chunk[1]))
        found.append((chunk[0], len(chunk[1])))
    tail.close()
    return found


def end(writer: StreamWriter) -> None:
    writer.seal()


def test_what_the_ring_holds_goes_to_disk(tmp_path: Path, driver: Callable[..., Driver]) -> None:
    one = driver()
    writer = StreamWriter("stdout", one.ring, f"{tmp_path}/stdout", SEGMENT)
    one.read(10)
    one.read(20)
    assert writer.step()
    assert writer.spooled == 30
    assert not writer.step()
    assert on_disk(writer.directory) == [(0, 10), (10, 20)]
    end(writer)


def test_the_next_writer_goes_on_behind_what_is_there(
    tmp_path: Path, driver: Callable[..., Driver]
) -> None:
    one = driver()
    first = StreamWriter("stdout", one.ring, f"{tmp_path}/stdout", SEGMENT)
    first.recover()
    one.read(10)
    first.step()
    end(first)
    one.read(5)
    one.crash()
    second = StreamWriter("stdout", one.ring, f"{tmp_path}/stdout", SEGMENT)
    second.recover()
    assert second.spooled == 10
    assert second.step()
    assert on_disk(second.directory) == [(0, 10), (10, 5)]
    end(second)


def test_a_writer_killed_between_disk_and_entry_is_followed_without_a_duplicate(
    tmp_path: Path, driver: Callable[..., Driver]
) -> None:
    one = driver()
    writer = StreamWriter("stdout", one.ring, f"{tmp_path}/stdout", SEGMENT)
    one.fill(3)
    one.ring.left = 1
    with pytest.raises(BaseException, match=r"^$"):
        writer.step()
    end(writer)
    fresh = driver()
    fresh.fd, one.fd = one.fd, fresh.fd
    fresh.crash()
    after = StreamWriter("stdout", fresh.ring, f"{tmp_path}/stdout", SEGMENT)
    after.recover()
    assert after.spooled == ROOM
    fresh.fill(1)
    assert fresh.ring.dropped == 0, "what is on disk was counted as dropped"
    while after.step():
        pass
    assert on_disk(after.directory) == [(n * ROOM, ROOM) for n in range(4)]
    end(after)


def test_a_directory_that_cannot_be_made_is_told_and_tried_again(
    tmp_path: Path, driver: Callable[..., Driver]
) -> None:
    (tmp_path / "spool").write_text("in the way")
    one = driver()
    writer = StreamWriter("stdout", one.ring, f"{tmp_path}/other", SEGMENT)
    writer.directory = f"{tmp_path}/spool/stdout"
    one.read(10)
    assert not writer.step()
    assert writer.failure == f"cannot write {tmp_path}/spool/stdout: Not a directory"
    (tmp_path / "spool").unlink()
    assert writer.step()
    assert writer.failure is None
    assert on_disk(writer.directory) == [(0, 10)]
    end(writer)


def test_a_disk_that_turns_read_only_is_told_and_taken_up_again(
    small_disk: Callable[[int], Path], driver: Callable[..., Driver]
) -> None:
    disk = small_disk(4 << 20)
    one = driver()
    writer = StreamWriter("stdout", one.ring, f"{disk}/stdout", 1000)
    one.read(2000)
    assert writer.step()
    end(writer)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    one.read(20)
    assert not writer.step()
    assert writer.failure == f"cannot write {disk}/stdout: Read-only file system"
    assert writer.spooled == 2000
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert writer.step()
    assert on_disk(writer.directory) == [(0, 2000), (2000, 20)]
    end(writer)


def test_a_full_disk_loses_what_the_ring_drops_and_nothing_else(
    small_disk: Callable[[int], Path], driver: Callable[..., Driver]
) -> None:
    disk = small_disk(400 << 10)
    one = driver()
    writer = StreamWriter("stdout", one.ring, f"{disk}/stdout", SEGMENT)
    for _ in range(60):
        one.read(30_000)
        writer.step()
    assert writer.failure == f"cannot write {disk}/stdout: No space left on device"
    assert one.ring.dropped > 0
    subprocess.run(["mount", "-o", f"remount,size={8 << 20}", str(disk)], check=True)
    while writer.step():
        pass
    assert writer.failure is None
    kept = sum(length for _, length in on_disk(writer.directory))
    assert kept + one.ring.dropped == one.ring.next_offset
    end(writer)


@pytest.fixture
def spooler(tmp_path: Path, driver: Callable[..., Driver]) -> Callable[..., Spooler]:
    def make(full: str, quota_bytes: int, *names: str) -> Spooler:
        writers = [
            StreamWriter(name, driver(full).ring, f"{tmp_path}/spool/{RUN}/{name}", SEGMENT)
            for name in (*names, "events")
        ]
        spool, positions = f"{tmp_path}/spool", f"{tmp_path}/positions"
        quotas = [
            Quota(spool, frozenset(names), quota_bytes, 1e6, full, positions),
            Quota(spool, frozenset({"events"}), 1 << 20, 1e6, DROP_OLDEST, positions),
        ]
        return Spooler(writers, quotas, RUN, quota_bytes)

    return make


def feed(writer: StreamWriter, count: int) -> None:
    """Read that many slabs' worth of the stream's bytes into a writer's ring."""
    for _ in range(count):
        room = writer.ring.reserve()
        if room is None:
            writer.ring.skip(ROOM)
            continue
        room[:] = content(writer.ring.next_offset, len(room))
        writer.ring.commit(len(room), 1)


def test_one_round_writes_a_batch_of_every_stream(spooler: Callable[..., Spooler]) -> None:
    one = spooler(DROP_OLDEST, 4 << 20, "stdout", "stderr")
    for writer in one.streams:
        feed(writer, 2)
    assert one._round()
    assert [w.spooled for w in one.streams] == [ROOM] * 3
    assert one._round()
    assert not one._round()
    for writer in one.streams:
        end(writer)


def test_drop_oldest_keeps_the_spool_within_its_quota_and_goes_on(
    tmp_path: Path, spooler: Callable[..., Spooler]
) -> None:
    one = spooler(DROP_OLDEST, 1 << 20, "stdout")
    for _ in range(12):
        feed(one.streams[0], 1)
        while one._round():
            pass
    assert not one.over_quota
    assert one.streams[0].spooled == 12 * ROOM
    size = sum(s.st_size for s in map(os.stat, (tmp_path / f"spool/{RUN}/stdout").iterdir()))
    assert size <= (1 << 20) + SEGMENT
    end(one.streams[0])


def test_a_segment_larger_than_the_quota_stops_nothing_under_drop_oldest(
    spooler: Callable[..., Spooler],
) -> None:
    one = spooler(DROP_OLDEST, 1000, "stdout")
    for _ in range(3):
        feed(one.streams[0], 1)
        one._quota_at_s = 0.0
        one._round()
    assert not one.over_quota
    assert one.streams[0].spooled == 3 * ROOM
    end(one.streams[0])


@pytest.mark.parametrize("full", [DROP_NEWEST, BLOCK])
def test_an_unshipped_quota_holds_its_own_streams_until_it_is_shipped(
    tmp_path: Path, spooler: Callable[..., Spooler], full: str
) -> None:
    positions = tmp_path / "positions"
    positions.mkdir()

    def ship(offset: int) -> None:
        shipped = {"positions": {RUN: {"stdout": offset}}}
        (positions / "otlp.json").write_text(json.dumps(shipped))

    one = spooler(full, 300 << 10, "stdout")
    stdout, events = one.streams
    ship(0)
    feed(stdout, 3)
    one._round()
    one._quota_at_s = 0.0
    one._round()
    one._quota_at_s = 0.0
    feed(events, 1)
    assert one._round()
    assert one.over_quota
    held = stdout.spooled
    assert events.spooled == ROOM, "the journal has a quota of its own"
    ship(held)
    one._quota_at_s = 0.0
    assert one._round()
    assert not one.over_quota
    assert stdout.spooled > held, "even what was being written can go when it is shipped"
    end(stdout)
    end(events)
