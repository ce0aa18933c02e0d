"""What a shipping reads: the streams of this run, those of the oldest earlier run that is not shipped yet, and log files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.logs.feed import Feed
from pillion.logs.positions import FILES
from pillion.logs.runs import run_dir, runs, stream_dir, streams
from pillion.logs.spool import Scratch, StreamReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pillion.logs.followed import FollowedFiles
    from pillion.logs.multiline import Joiner
    from pillion.logs.positions import Key, Positions
    from pillion.logs.spool import Chunk, Gap
    from pillion.logs.waker import Waker

SCOPES = {
    "events": "pillion.events",
    "sidecar": "pillion.sidecar",
    "requests": "pillion.ambassador",
    "spans": "pillion.ambassador",
}
APP_SCOPE = "pillion.app"
IO_STREAMS = ("stdout", "stderr")


class Intake:
    """The feeds of one shipping. `read` is called in a thread, everything else in the loop, and never at the same time.

    `joiner` gives a stream's joiner of lines, None where lines are not joined; `line_bytes` is where lines are cut. Streams
    that `selects` does not want are left to others, and named in `passed_over`.
    """

    def __init__(
        self,
        state_dir: str,
        run: str,
        positions: Positions,
        *,
        line_bytes: int,
        joiner: Callable[[str], Joiner | None],
        files: FollowedFiles | None,
        selects: Callable[[str], bool] = lambda _stream: True,
    ) -> None:
        self.passed_over: set[str] = set()
        self._selects = selects
        self._state_dir = state_dir
        self._run = run
        self._positions = positions
        self._line_bytes = line_bytes
        self._joiner = joiner
        self._files = files
        self._scratch = Scratch()
        self._feeds: dict[Key, Feed] = {}
        self._done_runs: set[str] = set()

    @property
    def follows_files(self) -> bool:
        """Whether files are followed that nobody may report to grow."""
        return self._files is not None

    def feeds(self) -> list[Feed]:
        """Return every feed there is at present."""
        files = [] if self._files is None else self._files.active()
        return [*self._feeds.values(), *files]

    def read(self, *, measure: bool) -> list[tuple[Feed, list[Chunk | Gap] | OSError]]:
        """Return the next block of each stream, or why it could not be read; with `measure` lags are determined too.

        Raises `OSError` when the spool cannot even be listed.
        """
        there = runs(self._state_dir)
        self._done_runs &= set(there)
        for feed in self._feeds.values():
            if feed.run != self._run and feed.run not in there:
                feed.finished = True  # the quota has taken the whole run
        earlier = [run for run in there if run != self._run and run not in self._done_runs]
        feeds: list[Feed] = []
        for run in [*earlier[:1], self._run]:
            names = self._selected(streams(self._state_dir, run))
            if run != self._run and not names:
                self._done_runs.add(run)
            feeds += [self._feed(run, stream) for stream in names]
        if self._files is not None:
            feeds += self._files.feeds(self._positions)
        if measure:
            self._positions.keep_runs(there)
        blocks: list[tuple[Feed, list[Chunk | Gap] | OSError]] = []
        for feed in feeds:
            if feed.finished:
                continue
            try:
                blocks.append((feed, feed.read(measure=measure)))
            except OSError as error:
                blocks.append((feed, error))
        return blocks

    def forget_finished(self) -> None:
        """Let go of files that are done, and of an earlier run whose streams are read to their ends."""
        finished = [feed for feed in self._feeds.values() if feed.finished]
        for run in {feed.run for feed in finished}:
            of_run = [feed for feed in self._feeds.values() if feed.run == run]
            if all(feed.finished for feed in of_run):
                self._done_runs.add(run)
                for feed in of_run:
                    feed.close()
                    del self._feeds[feed.key]

    def watch(self, waker: Waker) -> bool:
        """Have growth reported; True when a directory is new to it, and may have grown before it was watched."""
        directories = {f"{self._state_dir}/spool", run_dir(self._state_dir, self._run)}
        for feed in self._feeds.values():
            if feed.run == self._run:
                directories.add(stream_dir(self._state_dir, feed.run, feed.stream))
        if self._files is not None:
            directories |= self._files.directories()
        new = [directory for directory in directories if waker.watch(directory)]
        return bool(new)

    def acknowledge(self, ends: Mapping[Key, int]) -> None:
        """Move the positions to `ends`: everything below is shipped."""
        of_streams: dict[Key, int] = {}
        for key, end in ends.items():
            if key[0] != FILES:
                of_streams[key] = end
            elif self._files is not None:
                self._files.acknowledge(key[1], end, self._positions)
        self._positions.advance(of_streams)

    def _selected(self, names: list[str]) -> list[str]:
        selected = [name for name in names if self._selects(name)]
        if len(selected) < len(names):
            self.passed_over.update(name for name in names if name not in selected)
        return selected

    def _feed(self, run: str, stream: str) -> Feed:
        key = (run, stream)
        feed = self._feeds.get(key)
        if feed is None:
            position = self._positions.get(key)
            attributes: dict[str, object] = {"pillion.run": run, "pillion.stream": stream}
            if stream in IO_STREAMS:
                attributes["log.iostream"] = stream
            feed = self._feeds[key] = Feed(
                key,
                StreamReader(stream_dir(self._state_dir, run, stream), position, self._scratch),
                run=run,
                stream=stream,
                position=position,
                scope=SCOPES.get(stream, APP_SCOPE),
                attributes=attributes,
                cap_bytes=self._line_bytes,
                joiner=self._joiner(stream),
                final=run != self._run,
            )
        return feed
