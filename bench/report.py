"""Results as JSON for programs and as a Markdown table for people, each row with its bound and whether it holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.figure import Result, Row


def number(value: float) -> str:
    """Three digits that count, and none beyond."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def as_json(results: Sequence[Result], facts: dict[str, Any]) -> str:
    """Everything: facts, figures, all samples."""
    return json.dumps(
        {"facts": facts, "figures": [_figure(result) for result in results]}, indent=1
    )


def _figure(result: Result) -> dict[str, Any]:
    figure = result.figure
    return {
        "name": figure.name,
        "says": figure.says,
        "target": figure.target,
        "caveats": list(figure.caveats),
        "missing": result.missing,
        "took_s": round(result.took_s, 1),
        "rows": [
            {
                **asdict(row),
                "samples": list(row.samples),
                "median": row.median,
                "verdict": row.verdict,
            }
            for row in result.rows
        ],
    }


def as_markdown(results: Sequence[Result], facts: dict[str, Any]) -> str:
    """The table of each figure, under the facts of the machine."""
    lines = ["# Figures", ""]
    lines += [f"- {name.replace('_', ' ')}: {_plain(value)}" for name, value in facts.items()]
    lines.append("")
    for result in results:
        lines += _section(result)
    return "\n".join(lines)


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return str(value)


def _section(result: Result) -> list[str]:
    figure = result.figure
    lines = [f"## {figure.name}", "", figure.says, f"To reach: {figure.target}.", ""]
    if result.missing:
        return [*lines, f"**Not measured:** {result.missing}", ""]
    lines += [
        "| measure | who | median | least … greatest | unit | bound | | note |",
        "| --- | --- | ---: | ---: | --- | --- | --- | --- |",
    ]
    lines += [_row(row) for row in result.rows]
    lines.append("")
    lines += [f"- {caveat}" for caveat in figure.caveats]
    if figure.caveats:
        lines.append("")
    return lines


def _row(row: Row) -> str:
    least, greatest = row.spread
    spread = f"{number(least)} … {number(greatest)} ({len(row.samples)})"
    cells = [
        row.measure,
        row.subject,
        number(row.median),
        spread,
        row.unit,
        "" if row.target is None else str(row.target),
        f"**{row.verdict}**" if row.verdict == "not met" else row.verdict,
        row.note,
    ]
    return f"| {' | '.join(cell.replace('|', '¦') for cell in cells)} |"
