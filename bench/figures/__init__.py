"""Every figure, in the order in which they are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import sidecar_idle, start, supervision

if TYPE_CHECKING:
    from bench.figure import Figure

FIGURES: tuple[Figure, ...] = (
    start.FIGURE,
    supervision.FIGURE,
    sidecar_idle.FIGURE,
)
