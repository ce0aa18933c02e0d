"""What a figure is and what it yields: one shape for all, so that table, JSON and plot need to know nothing of any."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.workbench import Bench

PILLION = "pillion"


class Unavailable(Exception):
    """A figure cannot be taken here; the text says why and what to do. The others go on."""


@dataclass(frozen=True, slots=True)
class Target:
    """A bound of the design's: `at_most` or at least `value`, in the row's unit."""

    value: float
    at_most: bool = True

    def met(self, value: float) -> bool:
        """Whether `value` is within the bound."""
        return value <= self.value if self.at_most else value >= self.value

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of one subject: every sample, of which the median counts.

    `subject` is who was measured (pillion, supervisord, …), `unit` that of the samples, `note` what a reader must know.
    """

    measure: str
    subject: str
    unit: str
    samples: Sequence[float]
    target: Target | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """The median of the samples."""
        return statistics.median(self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest sample."""
        return min(self.samples), max(self.samples)

    @property
    def verdict(self) -> str:
        """`met`, `not met`, or nothing without a target."""
        if self.target is None:
            return ""
        return "met" if self.target.met(self.median) else "not met"


Run: TypeAlias = "Callable[[Bench], list[Row]]"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: `says` is the claim in one sentence, `target` the design's words, `peers` the programs that it needs."""

    name: str
    says: str
    target: str
    run: Run
    peers: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()


@dataclass(slots=True)
class Result:
    """What came of a figure: rows, or why there are none."""

    figure: Figure
    rows: list[Row] = field(default_factory=list)
    missing: str = ""
    took_s: float = 0.0
