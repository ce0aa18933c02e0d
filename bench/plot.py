"""One picture of all figures: a panel for each measure, a bar for each subject, a line where the bound is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bench.figure import PILLION
from bench.report import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from bench.figure import Result, Row

_COLUMNS = 2
_OURS = "#2a6f97"
_THEIRS = "#a9a9a9"
_MISSED = "#c1121f"
# Beyond this ratio bars of one panel no longer fit a linear scale.
_LOGARITHMIC_FROM = 30


def draw(results: Sequence[Result], *paths: str) -> None:
    """Draw every measure into each of `paths`; the suffix decides the format."""
    panels = _panels(results)
    if not panels:
        return
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    rows = math.ceil(len(panels) / _COLUMNS)
    heights = [
        max(len(one[1]) for one in panels[at : at + _COLUMNS])
        for at in range(0, len(panels), _COLUMNS)
    ]
    figure, grid = pyplot.subplots(
        rows,
        _COLUMNS,
        squeeze=False,
        figsize=(15, sum(0.8 + 0.34 * height for height in heights)),
        gridspec_kw={"height_ratios": [height + 1.5 for height in heights]},
        layout="constrained",
    )
    axes = list(grid.flat)
    for axis, (title, of_panel) in zip(axes, panels, strict=False):
        _panel(axis, title, of_panel)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    for path in paths:
        figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _panels(results: Sequence[Result]) -> list[tuple[str, list[Row]]]:
    panels: dict[str, list[Row]] = {}
    for result in results:
        for row in result.rows:
            title = f"{result.figure.name}: {row.measure} ({row.unit})"
            panels.setdefault(title, []).append(row)
    # Counts of what should not happen, and did not: the table says it, and a bar of no length says nothing.
    return [
        (title, rows) for title, rows in panels.items() if any(any(row.samples) for row in rows)
    ]


def _names(rows: Sequence[Row]) -> list[str]:
    """Who each row is about; where all are ours, without saying so each time."""
    ours = f"{PILLION}: "
    if all(row.subject.startswith(ours) for row in rows):
        return [row.subject.removeprefix(ours) for row in rows]
    return [row.subject for row in rows]


def _panel(axis: Axes, title: str, rows: Sequence[Row]) -> None:
    places = list(range(len(rows)))
    medians = [row.median for row in rows]
    colours = [
        _MISSED
        if row.verdict == "not met"
        else _OURS
        if row.subject.startswith(PILLION)
        else _THEIRS
        for row in rows
    ]
    axis.barh(places, medians, color=colours, height=0.65)
    for place, row in zip(places, rows, strict=True):
        least, greatest = row.spread
        axis.plot([least, greatest], [place, place], color="black", linewidth=1)
        axis.annotate(
            number(row.median),
            (greatest, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
        if row.target is not None:
            axis.plot(
                [row.target.value] * 2, [place - 0.42, place + 0.42], color="black", linestyle=":"
            )
    axis.set_yticks(places, _names(rows), fontsize=8)
    axis.invert_yaxis()
    axis.set_title(title, fontsize=8.5, loc="left")
    axis.tick_params(axis="x", labelsize=8)
    axis.margins(x=0.15)
    positive = [median for median in medians if median > 0]
    if len(positive) == len(medians) and max(positive) / min(positive) > _LOGARITHMIC_FROM:
        axis.set_xscale("log")
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
