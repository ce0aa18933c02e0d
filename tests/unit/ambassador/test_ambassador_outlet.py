"""Records on their way into a spool stream: gathered, never waited for, kept within a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ambassador_facts import taken
from pillion.ambassador.outlet import FLUSH_BYTES, FLUSH_S, KEPT_BYTES, LINE_BYTES, Outlet
from pillion.keeper.streams import MESSAGE_BYTES
from virtual_loop import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.close()


class Door:
    """A `send` that is open or not."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.is_open = is_open
        self.broken = False
        self.messages: list[bytes] = []
        self.tries = 0

    def __call__(self, data: bytes) -> bool:
        self.tries += 1
        if self.broken:
            raise ConnectionRefusedError
        if self.is_open:
            self.messages.append(data)
        return self.is_open


def test_lines_are_gathered_and_go_out_together_after_a_moment(loop: VirtualLoop) -> None:
    messages: list[bytes] = []
    outlet = Outlet(taken(messages), loop)
    outlet.add(b"one\n")
    outlet.add(b"two\n")
    assert messages == []
    loop.pass_time(FLUSH_S * 1.1)
    assert messages == [b"one\ntwo\n"]
    assert (outlet.lines, outlet.dropped, outlet.waiting_bytes) == (2, 0, 0)


def test_many_bytes_go_out_at_once_in_whole_lines_within_a_message(loop: VirtualLoop) -> None:
    messages: list[bytes] = []
    outlet = Outlet(taken(messages), loop)
    line = b"x" * (LINE_BYTES - 1) + b"\n"
    for _ in range(40):
        outlet.add(line)
    assert len(messages) >= 7
    assert all(FLUSH_BYTES <= len(one) <= MESSAGE_BYTES for one in messages)
    assert all(len(one) % len(line) == 0 for one in messages)


def test_nothing_wakes_up_when_nothing_waits(loop: VirtualLoop) -> None:
    outlet = Outlet(taken([]), loop)
    assert loop.timers() == 0
    outlet.add(b"one\n")
    assert loop.timers() == 1
    loop.pass_time(1)
    assert loop.timers() == 0


def test_what_is_refused_is_sent_again_in_order(loop: VirtualLoop) -> None:
    door = Door(is_open=False)
    outlet = Outlet(door, loop)
    outlet.add(b"one\n")
    loop.pass_time(0.1)
    outlet.add(b"two\n")
    loop.pass_time(0.3)
    assert (door.messages, outlet.lines) == ([], 0)
    assert outlet.refused == door.tries
    door.is_open = True
    loop.pass_time(2)
    assert door.messages == [b"one\n", b"two\n"]
    assert (outlet.lines, outlet.dropped) == (2, 0)
    assert loop.timers() == 0


def test_a_door_that_stays_shut_is_tried_ever_more_rarely(loop: VirtualLoop) -> None:
    door = Door(is_open=False)
    Outlet(door, loop).add(b"one\n")
    loop.pass_time(60)
    assert 60 <= door.tries <= 70


def test_beyond_the_bound_the_oldest_is_dropped_and_counted(loop: VirtualLoop) -> None:
    door = Door(is_open=False)
    outlet = Outlet(door, loop)
    count = 2 * KEPT_BYTES // LINE_BYTES
    for number in range(count):
        outlet.add(b"%08d" % number + b"x" * (LINE_BYTES - 9) + b"\n")
    assert outlet.waiting_bytes <= KEPT_BYTES + FLUSH_BYTES
    assert outlet.dropped > 0
    door.is_open = True
    loop.pass_time(2)
    kept = [int(line[:8]) for one in door.messages for line in one.splitlines()]
    assert kept == list(range(outlet.dropped, count))
    assert outlet.lines + outlet.dropped == count


def test_an_error_of_the_socket_is_no_room(loop: VirtualLoop) -> None:
    door = Door()
    door.broken = True
    outlet = Outlet(door, loop)
    outlet.add(b"one\n")
    loop.pass_time(0.2)
    door.broken = False
    loop.pass_time(1)
    assert door.messages == [b"one\n"]


def test_closing_hands_over_or_counts(loop: VirtualLoop) -> None:
    door = Door()
    outlet = Outlet(door, loop)
    outlet.add(b"one\n")
    outlet.close()
    assert (door.messages, outlet.dropped, loop.timers()) == ([b"one\n"], 0, 0)
    door.is_open = False
    outlet.add(b"two\n")
    outlet.add(b"three\n")
    outlet.close()
    assert (outlet.dropped, loop.timers(), outlet.waiting_bytes) == (2, 0, 0)
