"""`pillion events [-f]`: what happened to every component, and why."""

from __future__ import annotations

import os
import select
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec

from pillion.cli import api_client
from pillion.cli.api_client import answers
from pillion.cli.instances import add_instance_argument, chosen_instance
from pillion.cli.table import has_colour, paint, printable
from pillion.errors import UnreachableError, UsageError
from pillion.keeper.places import API_SOCKET, is_running, state_root
from pillion.model.event import KINDS, Event

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pillion.cli.instances import Found

NAME = "events"
SUMMARY = "show what happened to every component, and why"

# Between two attempts to follow: an agent is back within a fraction of a second.
_AGAIN_S = 0.2

_STYLES = {
    "failed": "red",
    "killed": "red",
    "out-of-memory": "red",
    "hung": "red",
    "upgrade-failed": "red",
    "reload-refused": "red",
    "output-lost": "yellow",
    "mirror-lost": "yellow",
    "not-ready": "yellow",
    "restarting": "yellow",
    "shipping-stalled": "yellow",
    "circuit-opened": "yellow",
    "certificate-refused": "yellow",
    "certificate-expires": "yellow",
    "policy-refused": "red",
    "ready": "green",
    "upgraded": "green",
    "shipping-resumed": "green",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument("--since", metavar="TIME", help="10m, 2h, or a time like 2026-01-31T12:00Z")
    parser.add_argument("--kind", metavar="KIND", help=f"only these: {', '.join(KINDS)}")
    parser.add_argument("--component", metavar="NAME", help="only those of this component")
    parser.add_argument("--run", metavar="RUN", help="those of an earlier run, or of all")
    parser.add_argument("--limit", metavar="N", type=int, default=1000, help="default: 1000")
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print them, oldest first."""
    colour = has_colour(sys.stdout)
    for line in _lines_of(args):
        if args.json:
            sys.stdout.write(line.decode() + "\n")
        else:
            event = msgspec.json.decode(line, type=Event)
            sys.stdout.write(describe(event, colour=colour) + "\n")
        if args.follow:
            sys.stdout.flush()
    return 0


def describe(event: Event, *, colour: bool) -> str:
    """One line for people: time, kind, component, reason."""
    kind = paint(f"{event.kind:<16}", _STYLES.get(event.kind, ""), colour=colour)
    time = paint(event.time, "dim", colour=colour)
    component = printable(event.component)
    return f"{time}  {kind} {component:<10} {printable(event.reason)}".rstrip()


def _lines_of(args: argparse.Namespace) -> Iterator[bytes]:
    """The journal's lines, from the agent, or from the spool when there is none."""
    try:
        found = chosen_instance(args.instance)
    except UsageError:
        # What is asked about an instance that has ended is mostly why.
        state_dir = f"{state_root()}/{args.instance}"
        if args.instance is None or args.follow or not os.path.isdir(state_dir):
            raise
        return _from_spool(state_dir, args)
    if not args.follow and not answers(found.path(API_SOCKET)):
        return _from_spool(found.record.state_dir or f"{state_root()}/{found.name}", args)
    return _lines(found, args)


def _from_spool(state_dir: str, args: argparse.Namespace) -> Iterator[bytes]:
    # Heavy, and wanted only when there is no agent that has it loaded already.
    from pillion.api.journal import STREAM, Wanted, present_events
    from pillion.api.query import parse_moment
    from pillion.logs.query import Query

    since_ns = None
    if args.since is not None:
        try:
            since_ns = int(parse_moment(args.since, time.time()) * 1e9)
        except ValueError as error:
            raise UsageError(f"cannot read --since {args.since}: {error}") from error
    search = Query(streams=(STREAM,), run=args.run, since_ns=since_ns)
    wanted = Wanted(args.kind, args.component)
    for _, event in present_events(state_dir, search, wanted, max(1, args.limit)):
        yield msgspec.json.encode(event)


def _lines(found: Found, args: argparse.Namespace) -> Iterator[bytes]:
    """The journal's lines; one that follows goes on with the next agent when this one is replaced."""
    wanted = {"since": args.since, "kind": args.kind, "component": args.component, "run": args.run}
    query: dict[str, str | int] = {key: value for key, value in wanted.items() if value is not None}
    query["limit"] = args.limit
    if not args.follow:
        yield from api_client.lines(found.path(API_SOCKET), _path(query), follow=False)
        return
    last, shown_then = "", set[bytes]()
    while True:
        path = _path({**query, "follow": "true"})
        try:
            for line in api_client.lines(found.path(API_SOCKET), path, follow=True):
                time = msgspec.json.decode(line, type=Event).time
                if line in shown_then:
                    continue
                if time != last:
                    last, shown_then = time, set()
                shown_then.add(line)
                yield line
        except UnreachableError:
            if not is_running(found.runtime_dir):
                return  # the instance has ended, and took its agent along
        # The agent was replaced, or has died; the next one knows the same journal.
        if not is_running(found.runtime_dir):
            return
        query["since"] = last or "1s"
        select.select([], [], [], _AGAIN_S)


def _path(query: dict[str, str | int]) -> str:
    return f"/v1/events?{urlencode(query)}"
