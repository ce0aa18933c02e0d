"""`pillion limits NAME memory=512M cpu=1.5`: change what a component may use while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.cli.door import open_door
from pillion.cli.instances import add_instance_argument
from pillion.cli.json_output import print_json
from pillion.cli.table import write_lines
from pillion.errors import RefusedError
from pillion.lifecycle.limits import describe_limits, parse_limits

if TYPE_CHECKING:
    import argparse

NAME = "limits"
SUMMARY = "change a component's limits while it runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("name", metavar="NAME", help="app, agent, shipper, ambassador, …")
    parser.add_argument(
        "limits",
        metavar="KEY=VALUE",
        nargs="*",
        help="memory=512M, cpu=1.5, processes=200, open_files=4096; none lifts a limit; "
        "without any, the limits in force are shown",
    )
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Change them, or show them."""
    door = open_door(args)
    if args.limits:
        component = door.limit(args.name, parse_limits(args.limits))
    else:
        status = door.status()
        known = status.component(args.name)
        if known is None:
            names = ", ".join(one.name for one in status.components)
            raise RefusedError(
                404,
                "no such component",
                f"cannot find a component named {args.name!r}; there are {names}",
            )
        component = known
    if args.json:
        print_json(
            {
                "name": component.name,
                "limits": component.limits,
                "limits_by": component.limits_by,
                "usage": component.usage,
            }
        )
    else:
        text = describe_limits(msgspec.structs.asdict(component.limits))
        by = f" (by {component.limits_by})" if component.limits_by else ""
        write_lines([f"{component.name}: {text}{by}"])
    return 0
