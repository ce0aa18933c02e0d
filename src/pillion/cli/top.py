"""`pillion top`: the processes of an instance, refreshed, with the CPU that they use at the moment."""

from __future__ import annotations

import argparse
import select
import sys
import time
from typing import TYPE_CHECKING

from pillion.cli.component_table import component_lines, instance_lines
from pillion.cli.door import Door
from pillion.cli.instances import add_instance_argument, chosen_instance
from pillion.cli.json_output import print_json_line
from pillion.cli.table import has_colour, write_lines
from pillion.settings.units import parse_duration

if TYPE_CHECKING:
    from pillion.model.component import Status

NAME = "top"
SUMMARY = "show the processes, refreshed"

_CLEAR = "\x1b[H\x1b[2J"
_SHORTEST_S = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    add_instance_argument(parser)
    parser.add_argument(
        "--interval", metavar="DURATION", type=_interval, default=2.0, help="default: 2s"
    )
    parser.add_argument(
        "--count", metavar="N", type=int, default=0, help="end after N refreshes; default: never"
    )


def run(args: argparse.Namespace) -> int:
    """Refresh until `--count`, Ctrl-C, or a closed standard input where that is a pipe's end."""
    found = chosen_instance(args.instance)
    colour = has_colour(sys.stdout)
    before: tuple[float, Status] | None = None
    shown = 0
    while True:
        # A new door each time: the agent may have come back, or gone away.
        now = time.monotonic()
        status = Door(found).status()
        if args.json:
            print_json_line(status)
        else:
            _show(status, busy_cores(before, (now, status)), colour=colour)
        before = (now, status)
        shown += 1
        if args.count and shown >= args.count:
            return 0
        select.select([], [], [], args.interval)


def busy_cores(
    before: tuple[float, Status] | None, after: tuple[float, Status]
) -> dict[str, float]:
    """Cores that each component used between two looks `(seconds, status)`; a restarted one is left out."""
    if before is None or after[0] <= before[0]:
        return {}
    cores = {}
    for one in after[1].components:
        old = before[1].component(one.name)
        if old is None or old.pid != one.pid or one.usage.cpu_s is None or old.usage.cpu_s is None:
            continue
        cores[one.name] = max(0.0, one.usage.cpu_s - old.usage.cpu_s) / (after[0] - before[0])
    return cores


def _show(status: Status, cores: dict[str, float], *, colour: bool) -> None:
    if sys.stdout.isatty():
        sys.stdout.write(_CLEAR)
    lines = instance_lines(status, colour=colour)
    write_lines(
        [*lines, *component_lines(status.components, time.time(), colour=colour, cpu=cores)]
    )
    sys.stdout.flush()


def _interval(text: str) -> float:
    try:
        return max(_SHORTEST_S, parse_duration(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"cannot use {text!r}: {error}; write 2s") from error
