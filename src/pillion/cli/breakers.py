"""`pillion breakers`: the circuit breaker of every endpoint, and opening or closing one by hand."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

from pillion.ambassador.overview import BreakerList
from pillion.cli.ambassador_workers import behind_lines
from pillion.cli.door import open_door
from pillion.cli.instances import add_instance_argument
from pillion.cli.json_output import print_json
from pillion.cli.table import Cell, has_colour, printable, render, write_lines
from pillion.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from pillion.ambassador.overview import BreakerView

NAME = "breakers"
SUMMARY = "show the circuit breakers, or open or close one by hand"

LIST = "list"
_PATIENCE_S = 10.0
_PATH = "/v1/ambassador/breakers"
_HEADS = ("UPSTREAM", "ENDPOINT", "CIRCUIT", "TRIAL IN", "WORKERS", "REASON")
_STYLES = {"closed": "green", "half-open": "yellow", "open": "red"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument(
        "action",
        choices=(LIST, "open", "close", "auto"),
        nargs="?",
        default=LIST,
        help="open: send nothing more; close: send whatever happens; auto: let it judge for itself again",
    )
    parser.add_argument("upstream", metavar="UPSTREAM", nargs="?", help="which upstream")
    parser.add_argument(
        "endpoint", metavar="ENDPOINT", nargs="?", help="address:port; without it all of them"
    )
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Show them, or change some and show these."""
    door = open_door(args)
    if args.action == LIST:
        found = door.api("GET", _PATH, BreakerList, timeout_s=_PATIENCE_S)
        items = [one for one in found.items if args.upstream in (None, one.upstream)]
        items = [one for one in items if args.endpoint in (None, one.endpoint)]
        found = BreakerList(revision=found.revision, workers=found.workers, items=items)
    else:
        if args.upstream is None:
            raise UsageError(
                f"cannot tell whose breakers are meant: pillion breakers {args.action} UPSTREAM [ENDPOINT]"
            )
        words = [_PATH, quote(args.upstream, safe="")]
        if args.endpoint is not None:
            words.append(quote(args.endpoint, safe="/"))
        found = door.api(
            "POST",
            "/".join(words),
            BreakerList,
            body={"action": args.action},
            timeout_s=_PATIENCE_S,
        )
    if args.json:
        print_json(found)
    else:
        write_lines(lines_of(found, colour=has_colour(sys.stdout)))
    return 0


def lines_of(found: BreakerList, *, colour: bool) -> list[str]:
    """What people are shown."""
    if not found.items:
        return ["there are no endpoints", *behind_lines(found.workers, colour=colour)]
    rows = [_row(one) for one in found.items]
    return [
        *render(_HEADS, rows, colour=colour),
        *behind_lines(found.workers, colour=colour),
    ]


def _row(one: BreakerView) -> list[Cell | str]:
    forced = " by hand" if one.forced else ""
    trial = f"{one.retry_after_s:.0f}s" if one.state == "open" and not one.forced else "-"
    # Only worth a word where the workers do not agree.
    differ = len(set(one.workers.values())) > 1
    workers = " ".join(f"{name}:{state}" for name, state in one.workers.items()) if differ else "-"
    return [
        printable(one.upstream),
        printable(one.endpoint),
        Cell(f"{one.state}{forced}", _STYLES.get(one.state, "")),
        Cell(trial, right=True),
        workers,
        printable(one.reason),
    ]
