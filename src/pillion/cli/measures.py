"""Sizes, ages and ratios as people read them: three digits that matter, never a lie about the unit."""

from __future__ import annotations

import itertools
from datetime import datetime

_AGES = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_SIZES = ("B", "K", "M", "G", "T")


def human_size(size_bytes: float | None) -> str:
    """`1536` as `1.5K`, in powers of 1024; `-` for an unknown size."""
    if size_bytes is None:
        return "-"
    value = float(size_bytes)
    for unit in _SIZES[:-1]:
        if value < 999.5:
            return f"{value:.1f}{unit}" if unit != "B" and value < 9.95 else f"{value:.0f}{unit}"
        value /= 1024
    return f"{value:.1f}{_SIZES[-1]}"


def human_age(seconds: float | None) -> str:
    """`93784` as `1d2h`: the two largest units; `-` for an unknown age."""
    if seconds is None:
        return "-"
    whole = max(0, int(seconds))
    for (unit, length), (smaller, part) in itertools.pairwise(_AGES):
        count, rest = divmod(whole, length)
        if count:
            return f"{count}{unit}{rest // part}{smaller}" if rest >= part else f"{count}{unit}"
    return f"{whole}s"


def age_s(time: str | None, now_s: float) -> float | None:
    """Seconds since the RFC 3339 `time`; None for none or for what is no time."""
    if time is None:
        return None
    try:
        return now_s - datetime.fromisoformat(time).timestamp()
    except ValueError:
        return None


def human_percent(ratio: float | None) -> str:
    """`0.1234` as `12.3%`; `-` when unknown."""
    return "-" if ratio is None else f"{ratio * 100:.1f}%"
