"""A clock that does not count pauses."""

from __future__ import annotations

import pytest

from pillion.health.active_clock import ActiveClock


def test_time_passes_as_it_does() -> None:
    clock = ActiveClock()
    assert clock.at(100.0) == 100.0
    assert not clock.fired(100.0, 100.9)
    assert clock.at(101.0) == 101.0


def test_a_pause_is_left_out() -> None:
    clock = ActiveClock()
    assert clock.fired(110.0, 3710.0)
    assert clock.at(3710.0) == 110.0
    assert clock.monotonic(111.0) == 3711.0
    assert clock.paused_s == 3600.0


@pytest.mark.parametrize("late", [2.0, 60.0, 86400.0])
def test_pauses_add_up(late: float) -> None:
    clock = ActiveClock()
    now = 0.0
    for turn in range(1, 4):
        now += 10.0 + late
        clock.fired(turn * 10.0, now)
    assert clock.at(now) == 30.0
