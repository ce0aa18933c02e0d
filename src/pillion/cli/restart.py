"""`pillion restart NAME`: stop in order, then start, whatever the restart policy says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.cli.component_action import act
from pillion.cli.instances import add_instance_argument

if TYPE_CHECKING:
    import argparse

NAME = "restart"
SUMMARY = "restart a component"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("name", metavar="NAME", help="app, agent, shipper, ambassador, …")
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    return act(args, NAME)
