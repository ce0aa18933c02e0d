"""`pillion logs` and `GET /v1/logs`: the spool's records, filtered and merged by arrival, with no process to ask.

Everything is read from the files alone, so that it works while the agent is away and after the instance has ended.
"""

from __future__ import annotations

import asyncio
import heapq
import re
from collections import deque
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from pillion.errors import UsageError
from pillion.logs.runs import runs, streams
from pillion.logs.source import Source
from pillion.logs.spool import Scratch
from pillion.logs.waker import Waker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pillion.logs.records import Record

# What the app says, printed and posted.
APP_STREAMS = ("stdout", "stderr", "api")
ALL_RUNS = "all"
_STEP_RECORDS = 500


class Query(msgspec.Struct, frozen=True):
    """Which records. Times are nanoseconds since the epoch and concern the arrival; `since_ns` is included.

    `run` is a run id, `ALL_RUNS`, or None for the newest. `severity` leaves out records of a lower
    severity and those without one; a loss is always shown. `limit` keeps only the last so many.
    """

    streams: tuple[str, ...] = APP_STREAMS
    run: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    severity: int = 0
    grep: str | None = None
    limit: int | None = None


def query(state_dir: str, wanted: Query) -> Iterator[Record]:
    """Yield what is in the spool now, runs oldest first, the streams of a run merged by arrival.

    Raises `UsageError` for a pattern that is no regular expression or a run that is not there, `OSError` when the
    spool cannot be read.
    """
    matches = matcher(wanted)
    there = _runs(state_dir, wanted)
    reading = _Reading(state_dir, wanted, matches)
    return reading.present(there, final=True)


async def follow(state_dir: str, wanted: Query, *, poll_s: float = 1.0) -> AsyncIterator[Record]:
    """Yield what `query` yields, then what arrives, until the caller stops; goes on to the next run when one starts.

    An unfinished last line waits for its end. The files are read in a thread. Raises what `query` raises.
    """
    matches = matcher(wanted)
    there = _runs(state_dir, wanted)
    reading = _Reading(state_dir, wanted, matches)
    with Waker() as waker:
        try:
            present = reading.present(there, final=False)
            while step := await reading.in_thread(lambda: list(islice(present, _STEP_RECORDS))):
                for record in step:
                    yield record
            while True:
                waker.watch_tree(f"{state_dir}/spool")
                generation = waker.generation
                if wanted.run is None or wanted.run == ALL_RUNS:
                    newest = there[-1] if there else ""
                    there += [run for run in runs(state_dir) if run > newest]
                fresh = await reading.in_thread(partial(reading.fresh, there))
                for record in fresh:
                    yield record
                if not fresh:
                    await waker.wait(generation, poll_s)
        finally:
            reading.end()


def matcher(wanted: Query) -> Callable[[Record], bool]:
    """Return the filter of `wanted` as a function; `UsageError` when `grep` is no regular expression."""
    try:
        pattern = None if wanted.grep is None else re.compile(wanted.grep)
    except re.error as error:
        raise UsageError(
            f"cannot search for {wanted.grep!r}: {error}; write a Python regular expression"
        ) from error
    since = wanted.since_ns or 0
    until = wanted.until_ns or (1 << 63)
    severity = wanted.severity

    def matches(record: Record) -> bool:
        if not since <= record.time_ns <= until:
            return False
        if record.lost:
            return True
        if record.severity < severity:
            return False
        return pattern is None or pattern.search(record.text) is not None

    return matches


def _runs(state_dir: str, wanted: Query) -> list[str]:
    there = runs(state_dir)
    if wanted.run == ALL_RUNS:
        return there
    if wanted.run is None:
        return there[-1:]
    if wanted.run not in there:
        known = ", ".join(there[-3:]) or "none"
        raise UsageError(
            f"cannot find the run {wanted.run}: known are {known}; leave out --run for the newest"
        )
    return [wanted.run]


class _Reading:
    """The sources of one query, kept open between what is present and what arrives."""

    def __init__(self, state_dir: str, wanted: Query, matches: Callable[[Record], bool]) -> None:
        self._state_dir = state_dir
        self._wanted = wanted
        self._matches = matches
        self._sources: dict[tuple[str, str], Source] = {}
        self._scratch = Scratch()
        self._running: asyncio.Future[list[Record]] | None = None

    def present(self, there: list[str], *, final: bool) -> Iterator[Record]:
        """Yield what matches now; `final` includes unfinished last lines and closes the sources."""
        try:
            if self._wanted.limit is None:
                for run in there:
                    yield from self._merged(run, self._open(run, None), final=final)
            else:
                yield from self._last(there, self._wanted.limit, final=final)
        finally:
            if final:
                self.close()

    def fresh(self, there: list[str]) -> list[Record]:
        """Return what has arrived since, a step of it at most."""
        found: list[Record] = []
        for run in there:
            for stream in self._streams(run):
                source = self._sources.get((run, stream))
                if source is None:
                    source = Source(self._state_dir, run, stream, self._scratch)
                    self._sources[run, stream] = source
                found.extend(source.step())
        found.sort(key=lambda record: record.time_ns)
        return [record for record in found if self._matches(record)]

    async def in_thread(self, step: Callable[[], list[Record]]) -> list[Record]:
        """Return what `step` returns, run in a thread; a step that is given up goes on there to its end."""
        self._running = asyncio.get_running_loop().run_in_executor(None, step)
        return await asyncio.shield(self._running)

    def end(self) -> None:
        """Close every source, now or when the step that reads them has ended: a descriptor closed under it could be another's."""
        if self._running is None or self._running.done():
            self.close()
        else:
            self._running.add_done_callback(self._close_after)

    def _close_after(self, ended: asyncio.Future[list[Record]]) -> None:
        # Nobody waits for it any more, nor for its error.
        if not ended.cancelled():
            ended.exception()
        self.close()

    def close(self) -> None:
        """Close every source."""
        for source in self._sources.values():
            source.close()
        self._sources.clear()

    def _streams(self, run: str) -> list[str]:
        there = streams(self._state_dir, run)
        return [stream for stream in self._wanted.streams if stream in there]

    def _open(self, run: str, segments_back: int | None) -> list[Source]:
        opened = []
        for stream in self._streams(run):
            old = self._sources.pop((run, stream), None)
            if old is not None:
                old.close()
            source = Source(self._state_dir, run, stream, self._scratch)
            source.enter(since_ns=self._wanted.since_ns, segments_back=segments_back)
            self._sources[run, stream] = source
            opened.append(source)
        return opened

    def _merged(self, run: str, opened: list[Source], *, final: bool) -> Iterator[Record]:
        del run
        until = self._wanted.until_ns
        merged = heapq.merge(
            *(source.records(until_ns=until, final=final) for source in opened),
            key=lambda record: record.time_ns,
        )
        return filter(self._matches, merged)

    def _last(self, there: list[str], limit: int, *, final: bool) -> Iterator[Record]:
        """The last `limit` records: from the last segments, and from more of them only while there are too few."""
        found: deque[Record] = deque()
        for run in reversed(there):
            wanted = limit - len(found)
            if wanted <= 0:
                break
            back = 1
            while True:
                opened = self._open(run, back)
                last = deque(self._merged(run, opened, final=final), maxlen=wanted)
                if len(last) == wanted or all(source.whole for source in opened):
                    break
                back *= 4
            found.extendleft(reversed(last))
        return iter(found)
