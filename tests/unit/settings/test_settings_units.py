"""Durations, sizes and percentages, as people write them."""

import pytest

from pillion.settings.units import (
    format_duration,
    format_percentage,
    format_size,
    parse_duration,
    parse_percentage,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10.0),
        ("500ms", 0.5),
        ("1m30s", 90.0),
        ("24h", 86400.0),
        ("7d", 604800.0),
        ("1.5h", 5400.0),
        ("0s", 0.0),
        ("1d2h3m4s5ms", 93784.005),
        ("0.1s", 0.1),
        ("1s100ms", 1.1),
    ],
)
def test_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "s",
        "10 s",
        "-1s",
        "1s1s",
        "30s1m",
        "1w",
        "1.s",
        ".5s",
        "1e3s",
        "10S",
        "٣s",
        "10s\n",
    ],
)
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0s"), (90.0, "1m30s"), (0.25, "250ms"), (86400.0, "1d"), (0.0000005, "0.0000005s")],
)
def test_duration_is_shown_short(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512M", 512 << 20),
        ("1G", 1 << 30),
        ("64K", 65536),
        ("64KiB", 65536),
        ("1.5G", 3 << 29),
        ("100B", 100),
        ("2T", 2 << 40),
    ],
)
def test_size(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "512", "512MB", "512m", "M", "-1M", "1 M", "0.3B", "1BiB", "1iB", "1" * 30 + "M"]
)
def test_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_size(text)


def test_size_is_shown_in_the_unit_that_divides_it() -> None:
    assert [format_size(n) for n in (512 << 20, 1536 << 10, 1000, 0)] == [
        "512M",
        "1536K",
        "1000B",
        "0B",
    ]


@pytest.mark.parametrize(
    ("text", "fraction"), [("20%", 0.2), ("0%", 0.0), ("100%", 1.0), ("12.5%", 0.125)]
)
def test_percentage(text: str, fraction: float) -> None:
    assert parse_percentage(text) == fraction
    assert format_percentage(fraction) == text


@pytest.mark.parametrize("text", ["", "20", "%", "101%", "-1%", "20 %"])
def test_no_percentage(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_percentage(text)
