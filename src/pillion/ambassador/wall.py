# cython: annotation_typing=False, auto_pickle=False
"""The time of day for records, from one base and the monotonic clock, and its text.

Durations never come from here, so a jump of the wall clock changes what later records say and nothing else.
"""

import time
from typing import TYPE_CHECKING

from pillion.http.codec import octets
from pillion.http.codec.block import Block

if TYPE_CHECKING:
    from collections.abc import Callable

# So old may the base be: a jump, or a host that slept, is seen by the next record after this time.
_BASE_S = 1.0
_SECOND_NS = 1_000_000_000


class WallClock:
    """Wall-clock time of moments on the monotonic clock (CLOCK_MONOTONIC, as `time.monotonic` and uvloop have it)."""

    __slots__ = ("_base_ns", "_monotonic_ns", "_read_s", "_second", "_text", "_wall_ns")

    def __init__(
        self,
        wall_ns: "Callable[[], int]" = time.time_ns,
        monotonic_ns: "Callable[[], int]" = time.monotonic_ns,
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._base_ns = 0
        self._read_s = -10.0
        self._second = -1
        self._text = b""

    def at(self, moment_s: float) -> int:
        """Return nanoseconds since the epoch for a moment of the monotonic clock in the last seconds."""
        since_s = moment_s - self._read_s
        if since_s > _BASE_S or since_s < -_BASE_S:
            now_ns = self._monotonic_ns()
            self._base_ns = self._wall_ns() - now_ns
            self._read_s = now_ns * 1e-9
        return self._base_ns + octets.whole(moment_s * 1e9)

    def text(self, time_ns: int) -> str:
        """Return a time in nanoseconds since the epoch as RFC 3339 in UTC, with microseconds."""
        block = Block()
        self.write(block, time_ns)
        return block.take().decode("ascii")

    def write(self, block: Block, time_ns: int) -> None:
        """Write what `text` returns."""
        second = time_ns // _SECOND_NS
        if second != self._second:
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second)).encode("ascii")
            self._second = second
        block.put(self._text)
        block.put_digits((time_ns - second * _SECOND_NS) // 1000, 6)
        block.put(b"Z")
