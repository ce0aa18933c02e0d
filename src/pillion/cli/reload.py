"""`pillion reload`: read the settings again, and say what holds now and what needs a restart."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pillion.cli.door import open_door
from pillion.cli.instances import add_instance_argument
from pillion.cli.json_output import print_json
from pillion.cli.table import printable, write_lines
from pillion.errors import RefusedError
from pillion.lifecycle.reload import ReloadAnswer

if TYPE_CHECKING:
    import argparse

    from pillion.lifecycle.reload import ChangeAnswer

NAME = "reload"
SUMMARY = "read the settings again and apply what can be applied"

_BAD_SETTINGS = 2
_TIMEOUT_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Do it; bad settings end with code 2, as everywhere."""
    try:
        answer = open_door(args).api("POST", "/v1/reload", ReloadAnswer, timeout_s=_TIMEOUT_S)
    except RefusedError as error:
        if error.status != 422:
            raise
        sys.stderr.write(f"pillion: {error}\n")
        return _BAD_SETTINGS
    if args.json:
        print_json(answer)
    else:
        write_lines(describe(answer))
    return 0


def describe(answer: ReloadAnswer) -> list[str]:
    """The answer in lines for people."""
    if not answer.applied and not answer.needs_restart:
        return ["nothing has changed"]
    lines = [f"applied: {_change(change)}" for change in answer.applied]
    for need in answer.needs_restart:
        how = (
            "stop and start the instance"
            if need.component == "instance"
            else f"pillion restart {need.component}"
        )
        lines += [f"after `{how}`: {_change(change)}" for change in need.settings]
    return lines


def _change(change: ChangeAnswer) -> str:
    return printable(f"{change.path} {change.old!r} -> {change.new!r}")
