"""What of the spool may stay. Pure over a list of segments, so that no loss is a surprise; the thin part lists and unlinks."""

from __future__ import annotations

import json
import os

from .chunks import segment_offset
from .ring import DROP_OLDEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

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


def shipped(segments: Iterable[Segment], positions_dir: str) -> list[Segment]:
    """Return the segments that every sink has shipped to their end. Without any sink all count as shipped."""
    sinks = []
    for name in _names(positions_dir):
        try:
            with open(f"{positions_dir}/{name}", "rb") as file:
                positions = json.loads(file.read())["positions"]
        except (OSError, ValueError, KeyError, TypeError):
            return []
        sinks.append(positions)
    return [
        s
        for s in segments
        if s.end is not None
        and all(_position(positions, s.run, s.stream) >= s.end for positions in sinks)
    ]


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
        self._spool = spool
        self._streams = streams
        self._quota = quota_bytes
        self._age_s = age_s
        self._full = full
        self._positions = positions_dir
        self.removed_bytes = 0

    def enforce(self, writing: set[str], now_s: float) -> bool:
        """Remove what must go. False when the quota is passed and only what no receiver has yet could be removed."""
        segments = list_segments(self._spool, self._streams)
        removable = segments if self._full == DROP_OLDEST else shipped(segments, self._positions)
        total = sum(s.bytes for s in segments)
        spare = total - sum(s.bytes for s in removable)
        for segment in choose(removable, max(0, self._quota - spare), now_s - self._age_s, writing):
            try:
                os.unlink(segment.path)
            except FileNotFoundError:
                continue
            total -= segment.bytes
            self.removed_bytes += segment.bytes
        return total <= self._quota

    def remove_empty_runs(self, current: str) -> None:
        """Remove the directories of earlier runs that hold no segment any more."""
        for run in sorted(_names(self._spool))[:_MAX_RUNS]:
            directory = f"{self._spool}/{run}"
            if run == current or any(
                _names(f"{directory}/{stream}") for stream in _names(directory)
            ):
                continue
            for stream in _names(directory):
                path = f"{directory}/{stream}"
                if os.path.isdir(path):
                    os.rmdir(path)
                else:
                    os.unlink(path)
            os.rmdir(directory)
