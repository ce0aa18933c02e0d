"""`pillion upgrade`: replace the sidecar by another version, and say why not when it could not be."""

from __future__ import annotations

import argparse
import os
import shutil

from pillion.cli.door import open_door
from pillion.cli.instances import add_instance_argument
from pillion.cli.json_output import print_json
from pillion.cli.table import write_lines
from pillion.errors import UsageError
from pillion.lifecycle.upgrade import UpgradeAnswer
from pillion.settings.units import parse_duration

NAME = "upgrade"
SUMMARY = "replace the sidecar without losing a request"

_TIMEOUT_S = 600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument(
        "--python",
        metavar="PATH",
        help="the interpreter in which the new version is installed; default: the present one",
    )
    parser.add_argument(
        "--keeper",
        action="store_true",
        help="replace the keeper itself, in place, instead of the sidecar",
    )
    parser.add_argument(
        "--drain",
        metavar="DURATION",
        type=_duration,
        help="how long the old processes may take to finish; default: the settings' drain",
    )
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Do it and say what runs now."""
    parameters: dict[str, object] = {
        "python": None if args.python is None else interpreter(args.python),
    }
    if args.keeper:  # else all of the sidecar that there is
        parameters["components"] = ["keeper"]
    if args.drain is not None:
        parameters["drain_s"] = args.drain
    answer = open_door(args).operate("upgrade", parameters, UpgradeAnswer, timeout_s=_TIMEOUT_S)
    if args.json:
        print_json(answer)
        return 0
    lines = [
        f"{one.name}: {one.from_version or 'unknown'} -> {one.to_version or 'unknown'}"
        + (f", pid {one.pid}" if one.pid else "")
        for one in answer.upgraded
    ]
    write_lines([*lines, answer.detail] if answer.detail else lines)
    return 0


def interpreter(text: str) -> str:
    """The absolute path of the interpreter `text`, not resolved further: a virtual environment's link is what it is.

    Raises `UsageError` when there is none.
    """
    found = shutil.which(text)
    if found is None:
        raise UsageError(f"cannot use {text!r}: it is no program; give the path of an interpreter")
    return os.path.abspath(found)


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"cannot use {text!r}: {error}; write 10s") from error
