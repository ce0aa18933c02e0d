"""Counts over the last seconds."""

from __future__ import annotations

from pillion.ambassador.window import Window


def test_it_counts() -> None:
    window = Window(10.0)
    window.add(100.0, 1, 0)
    window.add(100.5, 1, 1)
    assert (window.first, window.second) == (2, 1)


def test_what_is_too_old_is_forgotten_bucket_by_bucket() -> None:
    window = Window(10.0)
    for second in range(100, 110):
        window.add(float(second), 1, second % 2)
    assert (window.first, window.second) == (10, 5)
    window.slide(109.9)
    assert window.first == 10
    window.slide(110.0)
    assert (window.first, window.second) == (9, 5)
    window.slide(114.0)
    assert (window.first, window.second) == (5, 3)
    window.slide(119.0)
    assert (window.first, window.second) == (0, 0)


def test_a_jump_ahead_forgets_all() -> None:
    for jump_s in (10.0, 1e6, 1e12):
        window = Window(10.0)
        window.add(100.0, 5, 5)
        window.add(100.0 + jump_s, 1, 0)
        assert (window.first, window.second) == (1, 0)


def test_a_clock_that_goes_back_fills_the_newest_bucket() -> None:
    window = Window(10.0)
    window.add(100.0, 1, 0)
    window.add(50.0, 1, 1)
    assert (window.first, window.second) == (2, 1)
    window.slide(111.0)
    assert (window.first, window.second) == (0, 0)


def test_cleared_it_is_empty() -> None:
    window = Window(10.0)
    window.add(100.0, 3, 2)
    window.clear()
    window.add(101.0, 1, 0)
    assert (window.first, window.second) == (1, 0)
    window.slide(1000.0)
    assert (window.first, window.second) == (0, 0)
