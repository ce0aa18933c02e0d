"""How long to wait before the same is tried again."""

from __future__ import annotations


def delay_s(failures: int, initial_s: float, max_s: float) -> float:
    """How long to wait after so many `failures` in a row: doubled each time, up to `max_s`."""
    # A bound of its own: 2.0 ** 2000 is no float.
    return float(min(max_s, initial_s * 2.0 ** min(max(failures - 1, 0), 32)))
