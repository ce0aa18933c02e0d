"""`pillion api`: the OpenAPI document, without a running instance."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pillion.api.document import document
from pillion.api.table import ROUTES
from pillion.cli.table import render, write_lines

if TYPE_CHECKING:
    import argparse

NAME = "api"
SUMMARY = "print the API's OpenAPI document"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("--routes", action="store_true", help="a table of the routes instead")
    parser.add_argument("--json", action="store_true", help="print JSON; the document always is")
    parser.add_argument(
        "--instance", metavar="NAME", help="not needed: every instance's is the same"
    )


def run(args: argparse.Namespace) -> int:
    """Print it."""
    if args.routes and not args.json:
        rows = [(one.method, one.path, one.role.name.lower(), one.summary) for one in ROUTES]
        write_lines(render(("METHOD", "PATH", "ROLE", "SUMMARY"), rows, colour=False))
    else:
        sys.stdout.write(document().decode() + "\n")
    return 0
