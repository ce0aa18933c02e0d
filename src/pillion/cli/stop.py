"""`pillion stop [NAME]`: one component, or without a name the whole instance in order."""

from __future__ import annotations

import argparse
import os
import select
import time
from typing import TYPE_CHECKING

import msgspec

from pillion.cli.component_action import act
from pillion.cli.door import Door
from pillion.cli.instances import add_instance_argument, chosen_instance
from pillion.cli.json_output import print_json
from pillion.cli.table import write_lines
from pillion.errors import UnreachableError
from pillion.keeper.places import is_running
from pillion.settings.units import parse_duration

if TYPE_CHECKING:
    from pillion.cli.instances import Found

NAME = "stop"
SUMMARY = "stop a component, or the whole instance in order"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="a component; default: the whole instance"
    )
    parser.add_argument("--no-wait", action="store_true", help="do not wait for the instance's end")
    parser.add_argument(
        "--timeout",
        metavar="DURATION",
        type=_duration,
        default=120.0,
        help="how long to wait for the instance's end; default: 2m",
    )
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Stop what is meant; for an instance, wait until its keeper has ended."""
    if args.name is not None:
        return act(args, NAME)
    found = chosen_instance(args.instance)
    keeper = _watch(found)
    try:
        # 5 s: the keeper answers before it begins, and the whole way down may take longer than anybody waits.
        Door(found).operate("shutdown", {}, msgspec.Raw, timeout_s=5.0)
        if not args.no_wait:
            _wait(found, keeper, args.timeout)
    finally:
        if keeper is not None:
            os.close(keeper)
    if args.json:
        print_json({"instance": found.name, "state": "stopping" if args.no_wait else "ended"})
    else:
        write_lines([f"{found.name}: {'stopping' if args.no_wait else 'ended'}"])
    return 0


def _watch(found: Found) -> int | None:
    """A pidfd of the keeper, taken while its lock is held, so that it cannot be somebody else's pid."""
    if found.record.keeper.pid is None:
        return None
    try:
        descriptor = os.pidfd_open(found.record.keeper.pid)
    except OSError:
        return None
    if is_running(found.runtime_dir):
        return descriptor
    os.close(descriptor)
    return None


def _wait(found: Found, keeper: int | None, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    if keeper is not None:
        poll = select.poll()
        poll.register(keeper, select.POLLIN)
        if poll.poll(timeout_s * 1000):
            return
    while is_running(found.runtime_dir):
        # Only without a pidfd: another user's keeper, or a record of another version.
        if time.monotonic() >= deadline:
            raise UnreachableError(
                f"cannot see the end of {found.name} within {timeout_s:g} s; it is still stopping: "
                f"look at `pillion components --instance {found.name}`"
            )
        select.select([], [], [], 0.05)


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"cannot use {text!r}: {error}; write 30s") from error
