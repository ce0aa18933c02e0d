"""`pillion start NAME`: what was stopped, or has failed for good, runs again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.cli.component_action import act
from pillion.cli.instances import add_instance_argument

if TYPE_CHECKING:
    import argparse

NAME = "start"
SUMMARY = "start a stopped component"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("name", metavar="NAME", help="app, agent, shipper, ambassador, …")
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    return act(args, NAME)
