"""`pillion schema`: the JSON Schema of pillion.toml, for editors."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from pillion.settings import json_schema

if TYPE_CHECKING:
    import argparse

NAME = "schema"
SUMMARY = "print the JSON Schema of the settings"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take no arguments of its own."""
    del parser


def run(args: argparse.Namespace) -> int:
    """Print it."""
    del args
    json.dump(json_schema(), sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")
    return 0
