"""What start, stop, restart and signal have in common: one component, one action, one line about the outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.cli.door import open_door
from pillion.cli.json_output import print_json
from pillion.cli.table import write_lines

if TYPE_CHECKING:
    import argparse

    from pillion.model.component import Component


def act(args: argparse.Namespace, action: str, parameters: dict[str, object] | None = None) -> int:
    """Do `action` to the component `args.name` and say what it is now."""
    component = open_door(args).act(action, args.name, parameters)
    if args.json:
        print_json(component)
    else:
        write_lines([describe(component)])
    return 0


def describe(component: Component) -> str:
    """`app: running, pid 4711`."""
    pid = f", pid {component.pid}" if component.pid else ""
    return f"{component.name}: {component.state}{pid}"
