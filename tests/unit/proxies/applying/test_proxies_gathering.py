"""When gathered changes are due."""

from __future__ import annotations

import pytest

from pillion.proxies.applying.backoff import delay_s
from pillion.proxies.applying.gathering import NOTHING


def test_nothing_is_never_due() -> None:
    assert not NOTHING
    assert NOTHING.due_s(0.2, 2) is None


def test_one_change_is_due_after_the_least_wait() -> None:
    assert NOTHING.add(10).due_s(0.2, 2) == pytest.approx(10.2)


def test_a_storm_is_due_after_the_most_wait() -> None:
    storm = NOTHING
    for step in range(100):
        storm = storm.add(10 + step * 0.1)
    assert storm.count == 100
    assert storm.due_s(0.2, 2) == pytest.approx(12)


def test_a_most_wait_below_the_least_is_the_least() -> None:
    assert NOTHING.add(10).due_s(5, 1) == pytest.approx(15)


def test_a_clock_that_goes_back_puts_nothing_off() -> None:
    assert NOTHING.add(10).add(3).due_s(0.2, 2) == pytest.approx(10.2)


def test_waits_double_up_to_their_bound() -> None:
    assert [delay_s(n, 1, 60) for n in (0, 1, 2, 3, 7, 10_000)] == [1, 1, 2, 4, 60, 60]
