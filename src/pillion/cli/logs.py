"""`pillion logs [-f]`: what the app wrote, straight from the spool, so that it works without the agent and after the end."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING

from pillion.cli.instances import SOCKET_VARIABLE, all_instances
from pillion.cli.table import has_colour, paint
from pillion.errors import UsageError
from pillion.keeper import places
from pillion.logs.query import APP_STREAMS, Query, follow, query
from pillion.logs.runs import SPOOL
from pillion.logs.severity import ERROR, WARN, from_text
from pillion.settings.units import parse_duration

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from pillion.logs.records import Record

NAME = "logs"
SUMMARY = "show what the app wrote"

STREAMS = (*APP_STREAMS, "sidecar", "events", "requests", "spans")
# As tail -f: what happened just before is what one wants to see first.
FOLLOWED_LINES = 10
_LISTED = 20

# Colours may pass to a terminal; what moves its cursor or asks it something may not.
_COLOUR = re.compile(r"(\x1b\[[0-9;:]*m)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument("--since", metavar="TIME", help="10m, 2h, or a time like 2026-01-31T12:00Z")
    parser.add_argument("--until", metavar="TIME", help="likewise")
    parser.add_argument(
        "--level",
        metavar="LEVEL",
        help="this level and above: trace, debug, info, warn, error, fatal",
    )
    parser.add_argument("--grep", metavar="REGEX", help="only lines that match (Python's syntax)")
    parser.add_argument(
        "--stream",
        metavar="NAMES",
        default=",".join(APP_STREAMS),
        help=f"of {', '.join(STREAMS)}; default: {','.join(APP_STREAMS)}",
    )
    parser.add_argument(
        "-n",
        "--lines",
        metavar="LINES",
        type=int,
        help=f"only the last so many; default: all, with -f {FOLLOWED_LINES}",
    )
    parser.add_argument("--run", metavar="RUN", help="an earlier run, or all; default: the newest")
    parser.add_argument(
        "--instance",
        metavar="NAME",
        help="the instance that is meant, running or not; not needed with one on the host",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Print the records, oldest first."""
    wanted = wanted_records(args, time.time())
    state_dir = f"{places.state_root()}/{chosen_name(args.instance)}"
    show = _Output(json=args.json, colour=has_colour(sys.stdout), terminal=sys.stdout.isatty())
    try:
        if args.follow:
            asyncio.run(_follow(state_dir, wanted, show))
        else:
            show.records(query(state_dir, wanted))
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has seen enough; what is buffered must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), sys.stdout.fileno())
    return 0


async def _follow(state_dir: str, wanted: Query, show: _Output) -> None:
    async for record in follow(state_dir, wanted):
        show.records((record,))
        sys.stdout.flush()


def wanted_records(args: argparse.Namespace, now_s: float) -> Query:
    """Return the query that the arguments ask for; `now_s` is seconds since the epoch. Raises `UsageError`."""
    severity = 0
    if args.level is not None:
        severity = from_text(args.level)
        if not severity:
            raise UsageError(
                f"cannot use --level {args.level}: write trace, debug, info, warn, error or fatal"
            )
    streams = tuple(name.strip() for name in args.stream.split(",") if name.strip())
    if not streams or not set(streams) <= set(STREAMS):
        raise UsageError(f"cannot read --stream {args.stream}: there are {', '.join(STREAMS)}")
    if args.lines is not None and args.lines < 0:
        raise UsageError(f"cannot show {args.lines} lines: write a number from 0 on")
    limit = args.lines
    if limit is None and args.follow and args.since is None:
        limit = FOLLOWED_LINES
    return Query(
        streams=streams,
        run=args.run,
        since_ns=_moment_ns("--since", args.since, now_s),
        until_ns=_moment_ns("--until", args.until, now_s),
        severity=severity,
        grep=args.grep,
        limit=limit,
    )


def _moment_ns(option: str, text: str | None, now_s: float) -> int | None:
    if text is None:
        return None
    try:
        return int((now_s - parse_duration(text)) * 1e9)
    except ValueError:
        pass  # no duration; a time then
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"cannot read {option} {text}: write 10m, 2h, or a time like 2026-01-31T12:00:00Z"
        ) from error
    # Without a zone it is the time of the clock on the wall.
    return int(moment.timestamp() * 1e9)


def chosen_name(
    name: str | None,
    environment: Mapping[str, str] = os.environ,
    runtime_root: str | None = None,
    state_root: str | None = None,
) -> str:
    """Return the instance named, else inherited, else the only one that runs, else the only one that ever did.

    Raises `UsageError` when that is none, or several.
    """
    root = state_root or places.state_root()
    known = _with_spool(root)
    if name is not None:
        if name not in known:
            raise UsageError(f"cannot find logs of {name!r} in {root}; {_names(known)}")
        return name
    if inherited := environment.get(SOCKET_VARIABLE):
        return os.path.basename(os.path.dirname(os.path.abspath(inherited)))
    running = [one.name for one in all_instances(runtime_root) if one.running]
    candidates = running or known
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise UsageError(
            f"cannot find any logs in {root}; start an app with `pillion run -- COMMAND`"
        )
    raise UsageError(f"cannot tell whose logs are meant; {_names(candidates)}; add --instance NAME")


def _with_spool(root: str) -> list[str]:
    try:
        names = os.listdir(root)
    except OSError:
        return []
    return sorted(name for name in names if os.path.isdir(f"{root}/{name}/{SPOOL}"))


def _names(names: list[str]) -> str:
    if not names:
        return "there are none"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"there are {', '.join(names[:_LISTED])}{more}"


class _Output:
    """Writes records: JSON for programs, lines as they were for pipes, with time and colour for people."""

    def __init__(self, *, json: bool, colour: bool, terminal: bool) -> None:
        self._json = json
        self._colour = colour
        self._terminal = terminal

    def records(self, records: Iterable[Record]) -> None:
        """Write `records` to stdout."""
        out = sys.stdout.buffer
        for record in records:
            if self._json:
                out.write(record.to_json() + b"\n")
            else:
                out.write(self.line(record).encode("utf-8", "backslashreplace") + b"\n")

    def line(self, record: Record) -> str:
        """Return one record as a line of text."""
        text = f"-- {record.text} --" if record.lost else record.text
        if not self._terminal:
            return text
        moment = datetime.fromtimestamp(record.time_ns / 1e9)  # the reader's own clock
        shown = paint(
            f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}", "dim", colour=self._colour
        )
        stream = (
            ""
            if record.stream == "stdout"
            else f" {paint(record.stream, 'dim', colour=self._colour)}"
        )
        style = "red" if record.severity >= ERROR else "yellow" if record.severity >= WARN else ""
        return f"{shown}{stream} {paint(_harmless(text), style, colour=self._colour)}"


def _harmless(text: str) -> str:
    """`text` without what would steer a terminal: colours stay, other control characters are escaped."""
    parts = _COLOUR.split(text)
    return "".join(
        part
        if at % 2
        else "".join(c if c.isprintable() or c in "\t\n" else f"\\x{ord(c):02x}" for c in part)
        for at, part in enumerate(parts)
    )
