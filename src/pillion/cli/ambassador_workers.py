"""Which workers do not go by the newest policy yet, in a line each: whoever looks at the policy is to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.cli.table import paint, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pillion.ambassador.overview import WorkerView


def behind_lines(workers: Sequence[WorkerView], *, colour: bool) -> list[str]:
    """Lines for those that are behind, after an empty one; none when nobody is."""
    if not workers:
        return ["", paint("no worker is connected", "yellow", colour=colour)]
    behind = [one for one in workers if one.behind]
    lines = []
    for one in behind:
        why = f": {printable(one.refusal)}" if one.refusal else ""
        text = f"{one.name} (pid {one.pid}) is behind, at revision {one.revision}{why}"
        lines.append(paint(text, "yellow", colour=colour))
    return ["", *lines] if lines else []
