"""The time of day from one base: jumps are followed, and durations do not know of them."""

from __future__ import annotations

from pillion.ambassador.wall import WallClock

SECOND = 1_000_000_000
START = 1_795_360_526 * SECOND


class Clocks:
    """Both clocks, as a test sets them."""

    def __init__(self) -> None:
        self.wall_ns = START
        self.monotonic_ns = 500 * SECOND
        self.reads = 0

    def wall(self) -> int:
        self.reads += 1
        return self.wall_ns

    def pass_time(self, seconds: float) -> None:
        self.wall_ns += int(seconds * SECOND)
        self.monotonic_ns += int(seconds * SECOND)

    def clock(self) -> WallClock:
        return WallClock(self.wall, lambda: self.monotonic_ns)

    @property
    def now_s(self) -> float:
        return self.monotonic_ns / SECOND


def test_a_moment_has_its_time_of_day() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    assert clock.at(500.0) == START
    assert clock.at(500.25) == START + SECOND // 4
    assert clock.at(499.5) == START - SECOND // 2


def test_the_clocks_are_read_about_once_a_second() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    for _ in range(1000):
        clocks.pass_time(0.01)
        assert clock.at(clocks.now_s) == clocks.wall_ns
    assert clocks.reads <= 11


def test_a_jump_is_followed_within_a_second() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    clock.at(clocks.now_s)
    clocks.wall_ns -= 3600 * SECOND
    clocks.pass_time(1.1)
    assert clock.at(clocks.now_s) == clocks.wall_ns


def test_after_a_host_has_slept_the_first_record_is_right() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    clock.at(clocks.now_s)
    clocks.wall_ns += 7200 * SECOND  # CLOCK_MONOTONIC stands still meanwhile
    clocks.pass_time(1.5)
    assert clock.at(clocks.now_s) == clocks.wall_ns


def test_times_are_rfc_3339_with_microseconds() -> None:
    clock = WallClock()
    assert clock.text(START + 123_456_789) == "2026-11-22T15:15:26.123456Z"
    assert clock.text(START + SECOND) == "2026-11-22T15:15:27.000000Z"
    assert clock.text(START) == "2026-11-22T15:15:26.000000Z"
    assert clock.text(0) == "1970-01-01T00:00:00.000000Z"
