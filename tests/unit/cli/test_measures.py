"""Sizes and ages as people read them."""

from __future__ import annotations

import pytest

from pillion.cli.measures import age_s, human_age, human_percent, human_size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "-"),
        (0, "0B"),
        (999, "999B"),
        (1000, "1.0K"),
        (1536, "1.5K"),
        (10 << 10, "10K"),
        (512 << 20, "512M"),
        (1023 << 20, "1.0G"),
        (3 << 40, "3.0T"),
        (5000 << 40, "5000.0T"),
    ],
)
def test_sizes(size: float | None, text: str) -> None:
    assert human_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (-5, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (61, "1m1s"),
        (3600, "1h"),
        (3605, "1h"),
        (93784, "1d2h"),
    ],
)
def test_ages(seconds: float | None, text: str) -> None:
    assert human_age(seconds) == text


def test_ages_of_times() -> None:
    assert age_s("1970-01-01T00:00:10Z", 25.0) == 15.0
    assert age_s("yesterday", 25.0) is None
    assert age_s(None, 25.0) is None


def test_percentages() -> None:
    assert human_percent(0.1234) == "12.3%"
    assert human_percent(None) == "-"
