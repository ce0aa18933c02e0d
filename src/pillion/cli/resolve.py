"""`pillion resolve NAME`: where a service is to be found, one `address:port` per line, for people and scripts."""

from __future__ import annotations

import select
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from pillion.api.services_view import ServiceAnswer
from pillion.cli.door import open_door
from pillion.cli.instances import add_instance_argument
from pillion.cli.json_output import print_json, print_json_line
from pillion.cli.table import write_lines
from pillion.discovery.instance import endpoint
from pillion.errors import PillionError, UnreachableError, UsageError
from pillion.keeper.places import is_running
from pillion.settings.units import parse_duration

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pillion.cli.door import Door

NAME = "resolve"
SUMMARY = "print where a service is to be found"

_PATIENCE_S = 10.0
_POLL_S = 60.0
# Between two attempts while the agent is being replaced.
_AGAIN_S = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("service", metavar="SERVICE", help="the name of a service")
    parser.add_argument(
        "--tag",
        metavar="TAG",
        action="append",
        default=[],
        help="only with this tag; may be repeated",
    )
    parser.add_argument(
        "--zone", metavar="ZONE", help="only in this zone; without it, the own one first"
    )
    parser.add_argument(
        "--all", action="store_true", help="critical ones too, which cannot take work now"
    )
    parser.add_argument(
        "--wait", metavar="DURATION", default="0s", help="how long to wait for the first one"
    )
    parser.add_argument(
        "--watch", action="store_true", help="go on: one line with all addresses per change"
    )
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print them; 1 when there is none."""
    try:
        wait_s = parse_duration(args.wait)
    except ValueError as error:
        raise UsageError(f"cannot read --wait {args.wait}: {error}; write 30s") from error
    door = open_door(args)
    if args.watch:
        return _watch(door, args)
    answer = _first(door, args, wait_s)
    if args.json:
        print_json(answer)
    elif answer.instances:
        write_lines([endpoint(one) for one in answer.instances])
    if answer.instances:
        return 0
    raise PillionError(
        f"cannot resolve {args.service}: there is no instance that fits; `pillion services` lists what there is"
    )


def _first(door: Door, args: argparse.Namespace, wait_s: float) -> ServiceAnswer:
    deadline_s = time.monotonic() + wait_s
    answer = _ask(door, args, None, 0.0)
    while not answer.instances and (left_s := deadline_s - time.monotonic()) > 0:
        answer = _ask(door, args, answer.revision, min(left_s, _POLL_S))
    return answer


def _watch(door: Door, args: argparse.Namespace) -> int:
    shown: list[str] | None = None
    for answer in _answers(door, args):
        if args.json:
            print_json_line(answer)
            continue
        endpoints = [endpoint(one) for one in answer.instances]
        if endpoints != shown:
            shown = endpoints
            write_lines([" ".join(endpoints)])
            sys.stdout.flush()
    return 0


def _answers(door: Door, args: argparse.Namespace) -> Iterator[ServiceAnswer]:
    """The present answer and each one that differs; goes on with the next agent when this one is replaced."""
    last: ServiceAnswer | None = None
    while True:
        try:
            answer = _ask(door, args, last.revision if last else None, _POLL_S if last else 0.0)
        except UnreachableError:
            if not is_running(door.found.runtime_dir):
                return
            select.select([], [], [], _AGAIN_S)
            continue
        if last is None or (answer.instances, answer.stale) != (last.instances, last.stale):
            yield answer
        last = answer


def _ask(
    door: Door, args: argparse.Namespace, revision: int | None, wait_s: float
) -> ServiceAnswer:
    query: list[tuple[str, str]] = [("tag", tag) for tag in args.tag]
    if args.zone is not None:
        query.append(("zone", args.zone))
    if args.all:
        query.append(("status", "any"))
    if revision is not None:
        query += [("revision", str(revision)), ("wait", f"{int(wait_s * 1000)}ms")]
    path = f"/v1/services/{quote(args.service, safe='')}?{urlencode(query)}"
    return door.api("GET", path.rstrip("?"), ServiceAnswer, timeout_s=wait_s + _PATIENCE_S)
