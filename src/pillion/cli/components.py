"""`pillion components`: the processes of an instance, for a quick look and for scripts."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from pillion.cli.component_table import component_lines
from pillion.cli.door import open_door
from pillion.cli.instances import add_instance_argument
from pillion.cli.json_output import print_json
from pillion.cli.table import has_colour, write_lines

if TYPE_CHECKING:
    import argparse

NAME = "components"
SUMMARY = "list the processes of an instance"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """List them."""
    status = open_door(args).status()
    if args.json:
        print_json({"items": status.components})
    else:
        colour = has_colour(sys.stdout)
        write_lines(component_lines(status.components, time.time(), colour=colour))
    return 0
