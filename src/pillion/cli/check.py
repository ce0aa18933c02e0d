"""`pillion check`: every problem of a settings file with its line, or in a few lines what will hold."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from pillion.cli.settings_summary import summary
from pillion.settings import Problem, SettingsError, load, notices
from pillion.settings.problems import dotted

if TYPE_CHECKING:
    import argparse

NAME = "check"
SUMMARY = "validate a settings file, every problem at once"

_DONE = 0
_BAD_SETTINGS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument(
        "file", nargs="?", default="pillion.toml", metavar="FILE", help="default: pillion.toml here"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="a.b=v",
        help="override one setting, as for run",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def run(args: argparse.Namespace) -> int:
    """Print problems, or what holds. 0 when the file can be used, 2 when not."""
    try:
        settings = load(args.file, args.set)
    except SettingsError as error:
        if args.json:
            _print_json(
                {
                    "file": args.file,
                    "valid": False,
                    "problems": [_problem(one) for one in error.problems],
                }
            )
        else:
            count = len(error.problems)
            print(f"{error}\n{count} problem{'' if count == 1 else 's'}")
        return _BAD_SETTINGS
    notes = [(dotted(one.path), one.message) for one in notices(settings)]
    if args.json:
        _print_json(
            {
                "file": args.file,
                "valid": True,
                "problems": [],
                "notices": [{"path": path, "message": message} for path, message in notes],
                "summary": dict(summary(settings)),
            }
        )
        return _DONE
    print(f"{args.file}: no problems")
    for subject, words in summary(settings):
        print(f"  {subject:<9} {words}")
    for path, message in notes:
        print(f"  note      {path}: {message}")
    return _DONE


def _problem(problem: Problem) -> dict[str, object]:
    return dict(problem._asdict())


def _print_json(value: object) -> None:
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")
