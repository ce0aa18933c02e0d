"""What of the spool may stay. Pure over a list of segments, so that no loss is a surprise; the thin part lists and unlinks."""

from __future__ import annotations

import os

from .chunks import segment_offset
from .lean import json
from .ring import DROP_OLDEST
from .spool import segment_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Run directories that a long history of short runs leaves behind, empty or nearly so.
_MAX_RUNS = 1000


class Segment:
    """One file of the spool. `end` is the first offset of the next segment, or None for a stream's last."""

    __slots__ = ("bytes", "end", "first", "modified_s", "path", "run", "stream")

    def __init__(
        self,
        path: str,
        run: str,
        stream: str,
        first: int,
        end: int | None,
        size: int,
        modified_s: float,
    ) -> None:
        self.path = path
        self.run = run
        self.stream = stream
        self.first = first
        self.end = end
        self.bytes = size
        self.modified_s = modified_s


def choose(
    segments: Iterable[Segment], quota_bytes: int, oldest_s: float, keep: frozenset[str] | set[str]
) -> list[Segment]:
    """Return the segments to remove, oldest first: all modified before `oldest_s`, then as many as the quota asks for.

    What is in `keep` (segments being written) stays.
    """
    ordered = sorted(segments, key=lambda s: (s.modified_s, s.run, s.first))
    total = sum(s.bytes for s in ordered)
    chosen = []
    for segment in ordered:
        if segment.path in keep:
            continue
        if segment.modified_s >= oldest_s and total <= quota_bytes:
            break
        chosen.append(segment)
        total -= segment.bytes
    return chosen


def list_segments(spool: str, streams: frozenset[str]) -> list[Segment]:
    """Return every segment of the named streams over all runs; what vanishes meanwhile is left out."""
    found = []
    for run in _names(spool):
        for stream in _names(f"{spool}/{run}"):
            if stream not in streams:
                continue
            directory = f"{spool}/{run}/{stream}"
            offsets = sorted(
                (o, n) for n in _names(directory) if (o := segment_offset(n)) is not None
            )
            for i, (first, name) in enumerate(offsets):
                try:
                    stat = os.stat(f"{directory}/{name}")
                except FileNotFoundError:
                    continue
                end = offsets[i + 1][0] if i + 1 < len(offsets) else None
                found.append(
                    Segment(
                        f"{directory}/{name}", run, stream, first, end, stat.st_size, stat.st_mtime
                    )
                )
    return found


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def shipped(
    segments: Iterable[Segment], positions_dir: str, end_of: Callable[[Segment], int]
) -> list[Segment]:
    """Return the segments that every sink has shipped to their end. Without any sink all count as shipped.

    `end_of` tells the end of a stream's last segment, which no successor's name tells.
    """
    sinks = []
    for name in _names(positions_dir):
        try:
            with open(f"{positions_dir}/{name}", "rb") as file:
                positions = json.loads(file.read())["positions"]
        except (OSError, ValueError, KeyError, TypeError):
            return []
        sinks.append(positions)
    if not sinks:
        return list(segments)
    found = []
    for s in segments:
        least = min(_position(positions, s.run, s.stream) for positions in sinks)
        # An end that has to be read from the disk is asked for only when it matters.
        if least >= s.first and least >= (end_of(s) if s.end is None else s.end):
            found.append(s)
    return found


def _position(positions: object, run: str, stream: str) -> int:
    streams = positions.get(run) if isinstance(positions, dict) else None
    offset = streams.get(stream) if isinstance(streams, dict) else None
    return offset if isinstance(offset, int) else 0


class Quota:
    """Keeps one group of streams within its size and age. Every call may wait for the disk."""

    def __init__(
        self,
        spool: str,
        streams: frozenset[str],
        quota_bytes: int,
        age_s: float,
        full: str,
        positions_dir: str,
    ) -> None:
        self.streams = streams
        self._spool = spool
        self._quota = quota_bytes
        self._age_s = age_s
        self._full = full
        self._positions = positions_dir
        self.removed_bytes = 0
        # Ends of ended streams' last segments, by path and size.
        self._ends: dict[tuple[str, int], int] = {}

    def _end_of(self, segment: Segment) -> int:
        key = (segment.path, segment.bytes)
        if key not in self._ends:
            self._ends[key] = segment_end(segment.path, segment.first)
        return self._ends[key]

    def _shipped(self, segments: list[Segment], writing: set[str]) -> list[Segment]:
        found = shipped(
            (s for s in segments if s.path not in writing), self._positions, self._end_of
        )
        present = {(s.path, s.bytes) for s in segments}
        self._ends = {key: end for key, end in self._ends.items() if key in present}
        return found

    def enforce(self, writing: set[str], now_s: float) -> bool:
        """Remove what must go. False when the quota is passed and only what no receiver has yet could be removed.

        With drop_oldest it is always True: beyond what is being written, everything could.
        """
        segments = list_segments(self._spool, self.streams)
        drop = self._full == DROP_OLDEST
        removable = segments if drop else self._shipped(segments, writing)
        total = sum(s.bytes for s in segments)
        spare = total - sum(s.bytes for s in removable)
        for segment in choose(removable, max(0, self._quota - spare), now_s - self._age_s, writing):
            try:
                os.unlink(segment.path)
            except FileNotFoundError:
                continue
            total -= segment.bytes
            self.removed_bytes += segment.bytes
        return drop or total <= self._quota

    def remove_empty_runs(self, current: str) -> None:
        """Remove the directories of earlier runs that hold no segment any more."""
        for run in sorted(_names(self._spool))[:_MAX_RUNS]:
            directory = f"{self._spool}/{run}"
            if run == current or not os.path.isdir(directory):
                continue
            if any(_names(f"{directory}/{stream}") for stream in _names(directory)):
                continue
            for stream in _names(directory):
                path = f"{directory}/{stream}"
                if os.path.isdir(path):
                    os.rmdir(path)
                else:
                    os.unlink(path)
            os.rmdir(directory)
