"""The components of an instance as a table, shared by status, components and top."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.cli.measures import age_s, human_age, human_percent, human_size
from pillion.cli.table import STATE_STYLES, Cell, paint, printable, render
from pillion.lifecycle.limits import describe_limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.model.component import Component, Exit, Status

HEADS = ("NAME", "STATE", "PID", "AGE", "RESTARTS", "MEMORY", "CPU", "LIMITS", "LAST EXIT")
# Of the ambassador's in one line; `--json` has them all.
_MOST_LISTENERS = 8


def describe_exit(last: Exit | None) -> str:
    """`code 1`, `signal KILL, out of memory: …`, or `-`."""
    return "-" if last is None else printable(str(last))


def describe_state(component: Component) -> Cell:
    """The state, with its colour; a running component that is not ready yet says so."""
    style = STATE_STYLES.get(component.state, "")
    if component.state == "running" and not component.ready:
        return Cell("running, not ready", "yellow")
    return Cell(component.state, style)


def component_lines(
    components: list[Component],
    now_s: float,
    *,
    colour: bool,
    cpu: Mapping[str, float] | None = None,
) -> list[str]:
    """The table; with `cpu` (cores in use by name) the CPU column is a percentage, else seconds since the start."""
    rows = [_row(one, now_s, cpu) for one in components]
    return render(HEADS, rows, colour=colour)


def instance_lines(status: Status, *, colour: bool) -> list[str]:
    """What is said of the instance above its components."""
    keeper = f"keeper {status.keeper.pid}" if status.keeper.pid else "keeper unknown"
    version = f", {status.keeper.version}" if status.keeper.version else ""
    head = f"{paint(status.instance, 'bold', colour=colour)}  run {status.run}  ({keeper}{version})"
    lines = [head]
    if status.app.status_text:
        lines.append(f"app says: {printable(status.app.status_text)}")
    if status.listeners:
        lines.append(f"listens {_listeners(status.listeners)}")
    means = sorted({one.limits_by for one in status.components if one.limits_by})
    if means:
        lines.append(f"limits by {', '.join(means)}")
    return lines


def _listeners(listeners: Mapping[str, str]) -> str:
    names = [name.removeprefix("upstream:") for name in listeners]
    shown = [f"{n} {listeners[name]}" for n, name in zip(names, listeners, strict=True)]
    more = len(shown) - _MOST_LISTENERS
    return ", ".join([*shown[:_MOST_LISTENERS], *([f"and {more} more"] if more > 0 else [])])


def _row(component: Component, now_s: float, cpu: Mapping[str, float] | None) -> list[Cell]:
    usage = component.usage
    if cpu is None:
        cpu_text = "-" if usage.cpu_s is None else f"{usage.cpu_s:.1f}s"
    else:
        cpu_text = human_percent(cpu.get(component.name))
    running = component.pid is not None
    age = age_s(component.started, now_s) if running else None
    return [
        Cell(component.name),
        describe_state(component),
        Cell(str(component.pid or "-"), right=True),
        Cell(human_age(age), right=True),
        Cell(str(component.restarts), "yellow" if component.restarts else "", right=True),
        Cell(human_size(usage.memory), right=True),
        Cell(cpu_text, right=True),
        Cell(describe_limits(msgspec.structs.asdict(component.limits))),
        Cell(describe_exit(component.last_exit)),
    ]
