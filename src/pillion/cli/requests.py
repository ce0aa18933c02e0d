"""`pillion requests [-f]`: what went through the ambassador, straight from the spool, so that it works without agent and ambassador."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from pillion.cli.logs import chosen_name
from pillion.cli.table import has_colour, paint, printable
from pillion.errors import UsageError
from pillion.keeper import places
from pillion.logs.query import Query, follow, query
from pillion.settings.units import parse_duration

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from pillion.logs.records import Record

NAME = "requests"
SUMMARY = "show the requests that went through the ambassador"

STREAM = "requests"
# As tail -f: what happened just before is what one wants to see first.
FOLLOWED_LINES = 10

_STATUS = re.compile(r"[0-5](?:[0-9]{2}|xx)", re.IGNORECASE)
_STYLES = {"2": "green", "3": "dim", "4": "yellow", "5": "red", "0": "red"}


class Request(msgspec.Struct, kw_only=True):
    """What the lines show of a record of the request log."""

    time: str = ""
    direction: str = ""
    listener: str = ""
    route: str = ""
    upstream: str = ""
    endpoint: str = ""
    method: str = ""
    host: str = ""
    path: str = ""
    query: str = ""
    version: str = ""
    status: int = 0
    reason: str = ""
    attempts: int = 0
    total_ms: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    note: str = ""


class Wanted(msgspec.Struct, frozen=True):
    """Which requests: an empty text is any. `statuses` are as `statuses_of` gives them."""

    statuses: tuple[str, ...] = ()
    route: str = ""
    upstream: str = ""
    endpoint: str = ""
    method: str = ""
    path: str = ""
    reason: str = ""
    direction: str = ""
    slower_ms: float = 0.0

    def matches(self, one: Request) -> bool:
        """Whether `one` is one of them."""
        status = f"{one.status:03d}"
        return (
            (not self.statuses or any(status.startswith(begin) for begin in self.statuses))
            and self.route in ("", one.route)
            and self.upstream in ("", one.upstream)
            and self.endpoint in ("", one.endpoint)
            and self.method.upper() in ("", one.method)
            and one.path.startswith(self.path)
            and self.reason in ("", one.reason)
            and self.direction in ("", one.direction)
            and one.total_ms >= self.slower_ms
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument("--since", metavar="TIME", help="10m, 2h, or a time like 2026-01-31T12:00Z")
    parser.add_argument(
        "--status", metavar="STATUS", help="503, 5xx, several with commas; 0xx: no answer"
    )
    parser.add_argument("--route", metavar="ROUTE", default="", help="only by this route")
    parser.add_argument("--upstream", metavar="UPSTREAM", default="", help="only to this upstream")
    parser.add_argument("--endpoint", metavar="ENDPOINT", default="", help="only to address:port")
    parser.add_argument("--method", metavar="METHOD", default="", help="only GET, POST, …")
    parser.add_argument("--path", metavar="PREFIX", default="", help="only paths that begin so")
    parser.add_argument(
        "--reason", metavar="REASON", default="", help="only those that Pillion ended for it"
    )
    parser.add_argument(
        "--direction", choices=("outbound", "inbound"), default="", help="only these"
    )
    parser.add_argument("--slower", metavar="TIME", help="only those that took longer: 200ms, 1s")
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
    parser.add_argument("--json", action="store_true", help="print the records as they are")


def run(args: argparse.Namespace) -> int:
    """Print them, oldest first."""
    wanted = wanted_requests(args)
    search = Query(streams=(STREAM,), run=args.run, since_ns=_since_ns(args.since, time.time()))
    lines = args.lines
    if lines is None and args.follow and args.since is None:
        lines = FOLLOWED_LINES
    if lines is not None and lines < 0:
        raise UsageError(f"cannot show {lines} lines: write a number from 0 on")
    state_dir = f"{places.state_root()}/{chosen_name(args.instance)}"
    show = Output(json=args.json, colour=has_colour(sys.stdout), terminal=sys.stdout.isatty())
    try:
        last = _present(state_dir, search, wanted, lines, show)
        sys.stdout.flush()
        if args.follow:
            asyncio.run(_follow(state_dir, search, wanted, last, show))
    except BrokenPipeError:
        # The reader (head, less) has seen enough; what is buffered must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), sys.stdout.fileno())
    return 0


def wanted_requests(args: argparse.Namespace) -> Wanted:
    """Which requests the arguments ask for. Raises `UsageError`."""
    slower_ms = 0.0
    if args.slower is not None:
        try:
            slower_ms = parse_duration(args.slower) * 1000
        except ValueError as error:
            raise UsageError(f"cannot read --slower {args.slower}: {error}; write 200ms") from error
    return Wanted(
        statuses_of(args.status),
        args.route,
        args.upstream,
        args.endpoint,
        args.method,
        args.path,
        args.reason,
        args.direction,
        slower_ms,
    )


def statuses_of(text: str | None) -> tuple[str, ...]:
    """What the statuses begin with that `503,4xx` means; none for None. Raises `UsageError`."""
    if text is None:
        return ()
    words = [word.strip() for word in text.split(",")]
    if not all(_STATUS.fullmatch(word) for word in words):
        raise UsageError(f"cannot read --status {text}: write 503, 5xx, or several with commas")
    return tuple(word.lower().removesuffix("xx") for word in words)


def request_of(text: str) -> Request | None:
    """The record in a line of the stream; None for one that is none, torn by a crash for instance."""
    try:
        return msgspec.json.decode(text, type=Request)
    except msgspec.DecodeError:
        return None


def _present(
    state_dir: str, search: Query, wanted: Wanted, lines: int | None, show: Output
) -> Record | None:
    """Print what is there; return the last record that was looked at."""
    last: Record | None = None

    def matching() -> Iterator[Record]:
        nonlocal last
        for record in query(state_dir, search):
            last = record
            if _fits(record, wanted):
                yield record

    show.records(matching() if lines is None else deque(matching(), maxlen=lines))
    return last


async def _follow(
    state_dir: str, search: Query, wanted: Wanted, last: Record | None, show: Output
) -> None:
    if last is not None:
        search = msgspec.structs.replace(search, since_ns=last.time_ns)
    async for record in follow(state_dir, search):
        if last is not None and (record.run, record.offset) <= (last.run, last.offset):
            continue
        if _fits(record, wanted):
            show.records((record,))
            sys.stdout.flush()


def _fits(record: Record, wanted: Wanted) -> bool:
    if record.lost:
        return True
    found = request_of(record.text)
    return found is not None and wanted.matches(found)


class Output:
    """Writes records: as they are for programs, in a line each for people, with colour on a terminal."""

    def __init__(self, *, json: bool, colour: bool, terminal: bool) -> None:
        self._json = json
        self._colour = colour
        self._terminal = terminal

    def records(self, records: Iterable[Record]) -> None:
        """Write `records` to stdout; a loss of the spool is told in its place, as JSON too."""
        for record in records:
            if self._json:
                text = record.to_json().decode() if record.lost else record.text
            else:
                text = self.line(record)
            sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace") + b"\n")

    def line(self, record: Record) -> str:
        """One record as a line of text."""
        one = request_of(record.text)
        if record.lost or one is None:
            return f"-- {printable(record.text)} --"
        status = f"{one.status:03d}" if one.status else "---"
        style = _STYLES.get(f"{one.status:03d}"[0], "")
        if one.version == "tcp":
            what = f"TCP {one.listener}"
            status, style = "tcp", "red" if one.reason else "green"
        else:
            where = f"{one.path}?{one.query}" if one.query else one.path
            what = f"{one.method} {one.host}{where}"
        to = " ".join(filter(None, (one.upstream, one.endpoint)))
        parts = [
            paint(self._time(one.time), "dim", colour=self._colour),
            paint(status, style, colour=self._colour),
            f"{one.total_ms:8.1f} ms",
            printable(what),
            paint(f"-> {printable(to)}", "dim", colour=self._colour) if to else "",
            f"({one.attempts} tries)" if one.attempts > 1 else "",
            paint(printable(one.reason), "red", colour=self._colour),
            paint(printable(one.note), "yellow", colour=self._colour),
        ]
        return " ".join(filter(None, parts))

    def _time(self, text: str) -> str:
        if not self._terminal:
            return text
        try:
            moment = datetime.fromisoformat(text).astimezone()  # the reader's own clock
        except ValueError:
            return text
        return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"


def _since_ns(text: str | None, now_s: float) -> int | None:
    if text is None:
        return None
    try:
        return int((now_s - parse_duration(text)) * 1e9)
    except ValueError:
        pass  # no duration; a time then
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1e9)
    except ValueError as error:
        raise UsageError(
            f"cannot read --since {text}: write 10m, 2h, or a time like 2026-01-31T12:00:00Z"
        ) from error
