"""The keeper's loop: what is due is called in order, what fails is told, and nothing of it ends the loop."""

from __future__ import annotations

import os
import select
import signal
import time
from typing import TYPE_CHECKING

import pytest

from pillion.keeper.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BOUND_S = 40.0


@pytest.fixture
def told() -> list[Exception]:
    return []


@pytest.fixture
def loop(told: list[Exception], signals_restored: None) -> Iterator[Loop]:
    one = Loop(told.append)
    yield one
    one.close()


def turn_until(loop: Loop, condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + BOUND_S
    # So that a turn ends at the bound at the latest.
    limit = loop.after(BOUND_S, lambda: None)
    while not condition():
        assert time.monotonic() < deadline_s
        loop.turn()
    limit.cancel()


def fail() -> None:
    raise LookupError("a defect")


def test_timers_come_in_the_order_of_their_times(loop: Loop) -> None:
    called: list[int] = []
    now_s = time.monotonic()
    for number in (3, 1, 2):
        loop.at(now_s + number / 1000, lambda number=number: called.append(number))
    turn_until(loop, lambda: len(called) == 3)
    assert called == [1, 2, 3]


def test_a_timer_is_never_early(loop: Loop) -> None:
    at: list[float] = []
    due_s = time.monotonic() + 0.02
    loop.at(due_s, lambda: at.append(time.monotonic()))
    turn_until(loop, lambda: at)
    assert at[0] >= due_s


def test_a_cancelled_timer_is_not_called(loop: Loop) -> None:
    called: list[str] = []
    timer = loop.after(0, lambda: called.append("cancelled"))
    loop.after(0.001, lambda: called.append("kept"))
    timer.cancel()
    turn_until(loop, lambda: called)
    assert called == ["kept"]


def test_a_timer_may_cancel_another_that_is_due(loop: Loop) -> None:
    called: list[str] = []
    now_s = time.monotonic()
    second = loop.at(now_s + 0.001, lambda: called.append("second"))
    loop.at(now_s, second.cancel)
    loop.at(now_s + 0.002, lambda: called.append("third"))
    turn_until(loop, lambda: called)
    assert called == ["third"]


def test_a_timer_set_again_by_itself_lets_others_in(loop: Loop) -> None:
    counts = {"own": 0, "pipe": 0}
    read, write = os.pipe()

    def again() -> None:
        counts["own"] += 1
        loop.after(0, again)

    def readable() -> None:
        counts["pipe"] += len(os.read(read, 10))

    loop.add(read, readable)
    again()
    os.write(write, b"x")
    turn_until(loop, lambda: counts["pipe"])
    loop.remove(read)
    os.close(read)
    os.close(write)


def test_a_failing_callback_is_told_and_the_rest_is_called(
    loop: Loop, told: list[Exception]
) -> None:
    called: list[str] = []
    read, write = os.pipe()
    os.write(write, b"x")
    loop.add(read, fail)
    loop.at(0, fail)
    loop.at(0.001, lambda: called.append("timer"))
    loop.turn()
    loop.remove(read)
    os.close(read)
    os.close(write)
    assert called == ["timer"]
    assert [str(e) for e in told] == ["a defect", "a defect"]


def test_a_descriptor_that_was_removed_in_this_turn_is_not_called(loop: Loop) -> None:
    called: list[int] = []
    pipes = [os.pipe() for _ in range(2)]

    def first(own: int, other: int) -> None:
        called.append(own)
        loop.remove(other)

    for own, other in ((0, 1), (1, 0)):
        os.write(pipes[own][1], b"x")
        loop.add(pipes[own][0], lambda own=pipes[own][0], other=pipes[other][0]: first(own, other))
    loop.turn()
    assert len(called) == 1
    loop.remove(called[0])
    for fds in pipes:
        for fd in fds:
            os.close(fd)


def test_other_events_can_be_asked_for(loop: Loop) -> None:
    called: list[str] = []
    read, write = os.pipe()
    loop.add(write, lambda: called.append("writable"), 0)
    loop.at(0, lambda: None)
    loop.turn()
    assert called == []
    loop.modify(write, select.EPOLLOUT)
    turn_until(loop, lambda: called)
    loop.remove(write)
    os.close(read)
    os.close(write)


def test_removing_what_is_not_there_is_nothing(loop: Loop) -> None:
    loop.remove(12345)


def test_a_signal_is_called_from_the_loop(loop: Loop) -> None:
    called: list[int] = []
    loop.on_signal(signal.SIGUSR1, called.append)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert called == []
    turn_until(loop, lambda: called)
    assert called == [signal.SIGUSR1]


def test_a_signal_whose_callback_fails_takes_no_other_with_it(
    loop: Loop, told: list[Exception]
) -> None:
    called: list[int] = []
    loop.on_signal(signal.SIGUSR1, lambda _: fail())
    loop.on_signal(signal.SIGUSR2, called.append)
    os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR2)
    turn_until(loop, lambda: told and called)
    assert called == [signal.SIGUSR2]


def test_signals_are_heard_again_after_a_rewire(loop: Loop) -> None:
    called: list[int] = []
    loop.on_signal(signal.SIGUSR1, called.append)
    signal.set_wakeup_fd(-1)
    loop.rewire()
    os.kill(os.getpid(), signal.SIGUSR1)
    turn_until(loop, lambda: called)
