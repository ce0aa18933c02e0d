"""The arguments of `run` and `attach`, for help and completion; `cli.entry` reads them itself, without argparse, for a lean start."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `pillion run` takes."""
    _add_common(parser)
    parser.add_argument(
        "command",
        nargs="*",
        metavar="-- COMMAND",
        help="the program to run; without one, app.command of the settings",
    )


def add_attach_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `pillion attach` takes."""
    _add_common(parser)
    parser.add_argument("--pid", type=int, required=True, help="the process to adopt")


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--settings",
        metavar="FILE",
        help="settings to use (default: pillion.toml here, when there is one)",
    )
    parser.add_argument(
        "--name",
        help="name of the instance, and of the service unless the settings name it (default: app.name, else the command's)",
    )
    parser.add_argument(
        "--set",
        action="append",
        metavar="a.b=v",
        help="override one setting; may be given several times",
    )
