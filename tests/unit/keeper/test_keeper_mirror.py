"""The mirror: whole lines, never a wait, and every loss announced in its place with its size."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
from typing import TYPE_CHECKING

import pytest
from spool_files import put

from instance import wait_for
from pillion.keeper.mirror import MAX_LAG_BYTES, Mirror, open_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Ends:
    """A pipe whose reader may be slow, with a mirror that writes into it."""

    def __init__(self, directory: Path, position: int = 0) -> None:
        self.read, write = os.pipe()
        os.set_blocking(self.read, False)
        target = open_target(write)
        assert target is not None
        os.close(write)
        self.mirror = Mirror("stdout", str(directory), target, position)

    def hand_on(self, end: int, *, now_s: float = 0.0, last: bool = False) -> bytes:
        """Step until there is nothing to do, and return what the reader gets."""
        while self.mirror.step(end, now_s, last=last):
            pass
        return self.text()

    def text(self) -> bytes:
        """What the reader gets now."""
        found = b""
        while True:
            try:
                part = os.read(self.read, 1 << 20)
            except BlockingIOError:
                return found
            if not part:
                return found
            found += part

    def close(self) -> None:
        for fd in (self.read, self.mirror.target):
            try:
                os.close(fd)
            except OSError:
                continue
        self.mirror._tail.close()


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[Callable[..., Ends]]:
    made: list[Ends] = []

    def make(position: int = 0) -> Ends:
        made.append(Ends(tmp_path, position))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_lines_are_handed_on_as_they_are(tmp_path: Path, ends: Callable[..., Ends]) -> None:
    put(tmp_path, 0, b"one\ntwo\n", b"three\n")
    assert ends().hand_on(14) == b"one\ntwo\nthree\n"


def test_a_line_is_handed_on_when_it_is_whole(tmp_path: Path, ends: Callable[..., Ends]) -> None:
    put(tmp_path, 0, b"one\ntw")
    one = ends()
    assert one.hand_on(6) == b"one\n"
    assert one.mirror.unfinished
    put(tmp_path, 6, b"o\n")
    assert one.hand_on(8) == b"two\n"
    assert not one.mirror.unfinished


def test_the_last_line_is_handed_on_without_its_end(
    tmp_path: Path, ends: Callable[..., Ends]
) -> None:
    put(tmp_path, 0, b"one\ntw")
    assert ends().hand_on(6, last=True) == b"one\ntw"


def test_a_line_without_end_is_handed_on_in_pieces(
    tmp_path: Path, ends: Callable[..., Ends]
) -> None:
    put(tmp_path, 0, b"x" * 50_000, b"x" * 50_000)
    one = ends()
    text = b""
    while one.mirror.step(100_000, 0.0):
        text += one.text()
    assert text == b"x" * 100_000


def test_a_gap_is_announced_with_what_it_took_of_the_lines_around_it(
    tmp_path: Path, ends: Callable[..., Ends]
) -> None:
    put(tmp_path, 0, b"one\ntw")
    put(tmp_path, 106, b"e\nfour\n")
    one = ends()
    assert one.hand_on(113) == (b"one\n[pillion: 104 bytes of stdout not shown here]\nfour\n")
    assert one.mirror.lost == 104


def test_a_gap_lasts_until_a_line_ends(tmp_path: Path, ends: Callable[..., Ends]) -> None:
    put(tmp_path, 10, b"aa", b"bb", b"cc\ndd\n")
    one = ends()
    assert one.hand_on(20) == b"[pillion: 17 bytes of stdout not shown here]\ndd\n"


def test_a_gap_at_the_very_end_is_announced_too(tmp_path: Path, ends: Callable[..., Ends]) -> None:
    put(tmp_path, 0, b"one\n")
    put(tmp_path, 10, b"aa")
    one = ends()
    assert one.hand_on(12) == b"one\n"
    assert one.mirror.unfinished
    assert one.hand_on(12, last=True) == b"[pillion: 8 bytes of stdout not shown here]\n"
    assert one.mirror.lost == 8
    assert not one.mirror.unfinished


def test_two_gaps_are_announced_each_in_its_place(
    tmp_path: Path, ends: Callable[..., Ends]
) -> None:
    put(tmp_path, 10, b"a\nb\n")
    put(tmp_path, 20, b"c\nd\n")
    assert ends().hand_on(24) == (
        b"[pillion: 12 bytes of stdout not shown here]\nb\n"
        b"[pillion: 8 bytes of stdout not shown here]\nd\n"
    )


def test_a_mirror_that_begins_in_the_middle_has_lost_nothing(
    tmp_path: Path, ends: Callable[..., Ends]
) -> None:
    put(tmp_path, 0, b"one\n", b"two\n")
    one = ends(4)
    assert one.hand_on(8) == b"two\n"
    assert one.mirror.lost == 0


def test_nobody_reading_holds_nobody_up(tmp_path: Path, ends: Callable[..., Ends]) -> None:
    line = b"y" * 99 + b"\n"
    put(tmp_path, 0, *[line * 1000] * 3)
    one = ends()
    while one.mirror.step(300_000, 0.0):
        pass
    assert one.mirror.blocked
    text = one.text()
    while not text.endswith(b"\n") or one.mirror.blocked:
        one.mirror.step(300_000, 0.0)
        text += one.text()
    while one.mirror.step(300_000, 0.0):
        text += one.text()
    assert text + one.text() == line * 3000
    assert one.mirror.lost == 0


def test_one_that_fell_far_behind_goes_on_with_the_present(
    tmp_path: Path, ends: Callable[..., Ends]
) -> None:
    """Every byte is in a line that was shown, or in the number that stands in its place."""
    block = b"".join(b"%07d\n" % n for n in range(8192))
    first = 0
    for _ in range(100):
        put(tmp_path, first, block)
        first += len(block)
    one = ends()
    text = b""
    while one.mirror.step(len(block), 0.0):
        pass
    end = first
    assert end > MAX_LAG_BYTES
    while one.mirror.step(end, 0.0) or one.mirror.blocked:
        text += one.text()
    text += one.text()
    assert one.mirror.lost > 0
    announced = sum(int(n) for n in re.findall(rb"\[pillion: (\d+) bytes", text))
    shown = re.sub(rb"\[pillion: .*?\]\n", b"", text)
    assert announced == one.mirror.lost
    assert len(shown) + announced == end
    assert all(len(line) == 7 for line in shown.splitlines())


def test_a_reader_that_went_away_ends_the_mirror(tmp_path: Path, ends: Callable[..., Ends]) -> None:
    put(tmp_path, 0, b"one\n")
    one = ends()
    os.close(one.read)
    one.read = -1
    while one.mirror.step(4, 0.0):
        pass
    assert one.mirror.closed
    assert not one.mirror.blocked
    assert not one.mirror.step(4, 0.0)


def test_a_regular_file_is_written_behind_what_others_wrote(tmp_path: Path) -> None:
    put(tmp_path / "stream", 0, b"one\ntwo\n")
    shared = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
    os.write(shared, b"theirs\n")
    target = open_target(shared)
    assert target is not None
    mirror = Mirror("stdout", str(tmp_path / "stream"), target)
    while mirror.step(8, 0.0):
        pass
    os.write(shared, b"theirs again\n")
    assert (tmp_path / "out").read_bytes() == b"theirs\none\ntwo\ntheirs again\n"
    os.close(shared)
    os.close(target)
    mirror._tail.close()


def test_the_description_that_a_shell_shares_stays_blocking() -> None:
    ours, theirs = os.openpty()
    target = open_target(theirs)
    assert target is not None
    assert os.get_blocking(theirs)
    assert not os.get_blocking(target)
    assert fcntl.fcntl(target, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    for fd in (ours, theirs, target):
        os.close(fd)


def test_a_socket_is_written_to_as_it_is(tmp_path: Path) -> None:
    put(tmp_path, 0, b"one\n")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        target = open_target(theirs.fileno())
        assert target is not None
        mirror = Mirror("stdout", str(tmp_path), target)
        while mirror.step(4, 0.0):
            pass
        assert ours.recv(100) == b"one\n"
        os.close(target)
        mirror._tail.close()


def test_a_descriptor_that_is_closed_is_no_target() -> None:
    fd = os.dup(0)
    os.close(fd)
    assert open_target(fd) is None


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[tuple[int, Mirror]]:
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    target = open_target(theirs)
    assert target is not None
    mirror = Mirror("stdout", str(tmp_path), target)
    yield ours, mirror
    for fd in (ours, theirs, target):
        os.close(fd)
    mirror._tail.close()


def shown(screen: int, length: int) -> bytes:
    """Return what a terminal shows once it shows `length` bytes: the kernel passes them on in its own time."""
    seen = b""

    def read() -> bool:
        nonlocal seen
        with contextlib.suppress(BlockingIOError):
            seen += os.read(screen, 100)
        return len(seen) >= length

    wait_for(f"{length} bytes on the terminal", read)
    return seen


def test_a_prompt_is_shown_on_a_terminal_when_nothing_follows_it(
    tmp_path: Path, terminal: tuple[int, Mirror]
) -> None:
    screen, mirror = terminal
    put(tmp_path, 0, b"name: ")
    while mirror.step(6, 10.0):
        pass
    assert mirror.prompt_due_s == pytest.approx(10.1)
    with pytest.raises(BlockingIOError):
        os.read(screen, 100)
    while mirror.step(6, 10.2):
        pass
    assert shown(screen, 6) == b"name: "
    assert mirror.prompt_due_s is None


def test_what_follows_a_prompt_continues_its_line(
    tmp_path: Path, terminal: tuple[int, Mirror]
) -> None:
    screen, mirror = terminal
    put(tmp_path, 0, b"50%")
    while mirror.step(3, 1.0):
        pass
    while mirror.step(3, 2.0):
        pass
    put(tmp_path, 3, b" 100%\n")
    while mirror.step(9, 3.0):
        pass
    assert shown(screen, 10) == b"50% 100%\r\n"


def test_a_pipe_is_no_terminal_and_waits_for_the_line(
    tmp_path: Path, ends: Callable[..., Ends]
) -> None:
    put(tmp_path, 0, b"name: ")
    one = ends()
    assert one.hand_on(6, now_s=1e9) == b""
    assert one.mirror.prompt_due_s is None
