"""What is kept of an output."""

from __future__ import annotations

import pytest

from pillion.health.result import OUTPUT_BYTES, clip


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("", ""),
        (b"", ""),
        (b"ready\n", "ready"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("\x1b[31mred\x00", "\ufffd[31mred\ufffd"),
        ("\ud800", "\ufffd"),
    ],
)
def test_text_that_can_be_shown_anywhere(said: str | bytes, kept: str) -> None:
    assert clip(said) == kept


@pytest.mark.parametrize("said", ["x" * 5000, b"x" * 5000, "€" * 2000, ("€" * 2000).encode()])
def test_a_flood_is_cut_and_shows_it(said: str | bytes) -> None:
    kept = clip(said)
    assert kept.endswith(" …")
    assert OUTPUT_BYTES - 3 <= len(kept.encode()) <= OUTPUT_BYTES


def test_what_fits_is_whole() -> None:
    assert clip("x" * OUTPUT_BYTES) == "x" * OUTPUT_BYTES
