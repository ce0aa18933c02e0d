"""The rotating file and the followed files, on a real disk and with a clock of the test's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pillion.logs.followed import LINGER_S, FollowedFiles
from pillion.logs.positions import FILES, Positions
from pillion.logs.rotating import RotatingFile
from pillion.logs.spool import Chunk

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Followed:
    """Follows `*.log` in a directory as the shipping does, one pass at a time."""

    def __init__(self, base: Path, **options: int) -> None:
        self.clock = Clock()
        self.positions = Positions(str(base), "otlp")
        os.makedirs(base / "positions", exist_ok=True)
        self.positions.load()
        self.files = FollowedFiles(
            [f"{base}/*.log*"], "run", cap_bytes=1000, now_s=self.clock, **options
        )

    def step(self, seconds: float = 1.0) -> list[str]:
        """The lines of one pass, acknowledged."""
        self.clock.now += seconds
        found: list[str] = []
        for feed in self.files.feeds(self.positions):
            while read := feed.read(measure=False):
                for item in feed.items(read, self.clock.now, lambda _feed, _gap: None):
                    found.append(item.data.decode())  # type: ignore[union-attr]
                    assert feed.key[0] == FILES
                    self.files.acknowledge(feed.key[1], item.end, self.positions)
            if feed.final:
                found += [item.data.decode() for item in feed.finish(0.0)]  # type: ignore[union-attr]
                feed.close()
        return found

    def restart(self, base: Path) -> Followed:
        assert self.positions.write(self.positions.encode())
        for feed in self.files.active():
            feed.close()
        return Followed(base)


def test_a_file_is_read_from_its_beginning_as_it_grows(tmp_path: Path) -> None:
    followed = Followed(tmp_path)
    (tmp_path / "a.log").write_text("1\n2\nhalf")
    assert followed.step() == ["1", "2"]
    with (tmp_path / "a.log").open("a") as file:
        file.write(" done\n")
    assert followed.step(0.1) == ["half done"]
    assert followed.step(0.1) == []


def test_rename_keeps_the_place_also_under_a_name_that_matches(tmp_path: Path) -> None:
    followed = Followed(tmp_path)
    path = tmp_path / "a.log"
    path.write_text("1\n")
    assert followed.step() == ["1"]
    path.rename(tmp_path / "a.log.1")
    path.write_text("2\n")
    assert followed.step() == ["2"]
    with (tmp_path / "a.log.1").open("a") as file:
        file.write("late\n")
    assert followed.step() == ["late"]


def test_a_removed_file_is_read_to_its_end_and_its_unfinished_line_too(tmp_path: Path) -> None:
    followed = Followed(tmp_path)
    path = tmp_path / "a.log"
    path.write_text("1\n")
    assert followed.step() == ["1"]
    with path.open("a") as writer:
        path.unlink()
        followed.step()
        writer.write("2\nunfinished")
    assert followed.step() == ["2"]
    found = []
    for _ in range(4):
        found += followed.step(LINGER_S)
    assert found == ["unfinished"]
    assert followed.files.active() == []


@pytest.mark.parametrize("content", ["x\n", "another beginning of the same length or more\n"])
def test_truncation_begins_anew(tmp_path: Path, content: str) -> None:
    followed = Followed(tmp_path)
    path = tmp_path / "a.log"
    path.write_text("one long line\n")
    assert followed.step() == ["one long line"]
    path.write_text(content)
    assert followed.step() + followed.step() == [content.strip()]
    # The position is that of the new content.
    assert followed.restart(tmp_path).step() == []


def test_a_restart_goes_on_where_it_was_even_after_a_rename(tmp_path: Path) -> None:
    followed = Followed(tmp_path)
    path = tmp_path / "a.log"
    path.write_text("1\n")
    assert followed.step() == ["1"]
    with path.open("a") as file:
        file.write("2\n")
    path.rename(tmp_path / "elsewhere")
    path.write_text("3\n")
    again = followed.restart(tmp_path)
    assert sorted(again.step()) == ["2", "3"]


def test_another_file_with_the_same_inode_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    followed = Followed(tmp_path)
    path = tmp_path / "a.log"
    path.write_text("1\n")
    assert followed.step() == ["1"]
    inode = path.stat().st_ino
    path.write_text("z and more\n")
    assert path.stat().st_ino == inode
    assert followed.restart(tmp_path).step() == ["z and more"]


def test_open_files_are_bounded_and_those_that_wait_are_counted(tmp_path: Path) -> None:
    followed = Followed(tmp_path, open_files=2)
    for name in "abc":
        (tmp_path / f"{name}.log").write_text(f"{name}\n")
    (tmp_path / "d.log.gz").write_bytes(b"\x1f\x8b")
    os.mkfifo(tmp_path / "e.log")
    assert followed.step() == ["a", "b"]
    assert followed.files.waiting == 2
    (tmp_path / "a.log").unlink()
    found = []
    for _ in range(4):
        found += followed.step(LINGER_S)
    assert found == ["c"]


def test_the_rotating_file_keeps_its_bounds(tmp_path: Path) -> None:
    path = tmp_path / "out" / "x.log"
    file = RotatingFile(str(path), size_bytes=100, keep=2)
    for number in range(20):
        file.append(b"line %04d\n" % number * 3)
    file.close()
    names = sorted(one.name for one in path.parent.iterdir())
    assert names == ["x.log", "x.log.1", "x.log.2"]
    assert all(one.stat().st_size <= 100 for one in path.parent.iterdir())
    text = b"".join((path.parent / name).read_bytes() for name in ("x.log.2", "x.log.1", "x.log"))
    expected = b"".join(b"line %04d\n" % number * 3 for number in range(20))
    assert expected.endswith(text)


def test_a_line_longer_than_a_file_gets_one_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    file = RotatingFile(str(path), size_bytes=50, keep=5)
    file.append(b"a\n" + b"b" * 80 + b"\nc\n")
    assert path.read_bytes() == b"c\n"
    assert (tmp_path / "x.log.1").read_bytes() == b"b" * 80 + b"\n"
    assert (tmp_path / "x.log.2").read_bytes() == b"a\n"
    file.close()


def test_half_a_record_of_a_crash_is_cut_and_foreign_text_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b'{"time":"1"}\n{"time":"2')
    file = RotatingFile(str(path), size_bytes=1000, keep=1)
    file.append(b'{"time":"2"}\n')
    assert path.read_bytes() == b'{"time":"1"}\n{"time":"2"}\n'
    file.close()
    path.write_bytes(b"not ours")
    file = RotatingFile(str(path), size_bytes=1000, keep=1)
    file.append(b'{"time":"2"}\n')
    assert path.read_bytes() == b'not ours\n{"time":"2"}\n'
    file.close()


def test_a_file_that_somebody_else_rotates_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    file = RotatingFile(str(path), size_bytes=1000, keep=1)
    file.append(b"1\n")
    path.rename(tmp_path / "elsewhere")
    file.append(b"2\n")
    assert path.read_bytes() == b"2\n"
    file.close()


def test_a_disk_that_is_full_is_an_error_and_leaves_whole_lines(tmp_path: Path) -> None:
    file = RotatingFile("/dev/full", size_bytes=1000, keep=1)
    with pytest.raises(OSError, match="No space left"):
        file.append(b"1\n")
    file.close()


def test_a_chunk_of_a_file_is_what_was_read(tmp_path: Path) -> None:
    followed = Followed(tmp_path)
    (tmp_path / "a.log").write_text("12\n")
    (feed,) = followed.files.feeds(followed.positions)
    (chunk,) = feed.read(measure=True)
    assert isinstance(chunk, Chunk)
    assert (chunk.offset, chunk.payload, feed.lag_bytes) == (0, b"12\n", 0)
