# cython: annotation_typing=False, auto_pickle=False
"""Token buckets, kept as one number each: the time at which the bucket will be full again (GCRA).

A bucket of `burst` tokens fills with `rate` a second and gives one to each request. Saying when it will be full is the
same as saying how much is in it, needs no refilling, and a bucket that is full need not be kept at all.
"""

from collections import OrderedDict
from typing import Final

_TOLERANCE_S: Final = (
    1e-9  # of sums of floats: who waits as long as told must not be told to wait again
)
_MOST: Final = 10_000


class Bucket:
    """One bucket. `refused` counts requests that found it empty."""

    __slots__ = ("_full_s", "_interval_s", "_span_s", "refused")

    def __init__(self, rate_per_s: float, burst: float, now: float) -> None:
        """A full bucket. `burst` is at least one token, and one second's worth when it is 0."""
        self._full_s = now
        self.refused = 0
        self.configure(rate_per_s, burst)

    def configure(self, rate_per_s: float, burst: float) -> None:
        """Go on with another rate; what has been taken stays taken."""
        self._interval_s = 1.0 / rate_per_s
        self._span_s = _tokens(rate_per_s, burst) * self._interval_s

    def take(self, now: float) -> float:
        """Take a token: 0.0 when there was one, else the seconds until there will be."""
        full_s = max(self._full_s, now) + self._interval_s
        wait_s = full_s - now - self._span_s
        if wait_s > _TOLERANCE_S:
            self.refused += 1
            # A clock that went back, or a smaller burst, must not shut everybody out for long.
            if wait_s > self._interval_s:
                self._full_s = now + self._span_s
                return self._interval_s
            return wait_s
        self._full_s = full_s
        return 0.0


class Buckets:
    """A bucket for each key, for instance each client's address; the `most` last used are kept.

    `refused` counts requests that found their bucket empty, `dropped` buckets that were forgotten
    before they were full again: their keys got more than their share.
    """

    __slots__ = ("_full_s", "_interval_s", "_most", "_span_s", "dropped", "refused")

    def __init__(self, rate_per_s: float, burst: float, most: int = _MOST) -> None:
        self._full_s: OrderedDict[object, float] = OrderedDict()
        self._most = most
        self.refused = 0
        self.dropped = 0
        self.configure(rate_per_s, burst)

    def configure(self, rate_per_s: float, burst: float) -> None:
        """Go on with another rate; what has been taken stays taken."""
        self._interval_s = 1.0 / rate_per_s
        self._span_s = _tokens(rate_per_s, burst) * self._interval_s

    def __len__(self) -> int:
        return len(self._full_s)

    def take(self, key: object, now: float) -> float:
        """Take a token of `key`'s bucket: 0.0 when there was one, else the seconds until there will be."""
        held = self._full_s
        before_s = held.get(key)
        full_s = (now if before_s is None else max(before_s, now)) + self._interval_s
        wait_s = full_s - now - self._span_s
        refused = wait_s > _TOLERANCE_S
        if refused:
            self.refused += 1
            full_s -= self._interval_s
            if wait_s > self._interval_s:
                full_s = now + self._span_s
                wait_s = self._interval_s
        held[key] = full_s
        if before_s is not None:
            held.move_to_end(key)
        elif len(held) > self._most:
            _, oldest_s = held.popitem(last=False)
            if oldest_s > now:
                self.dropped += 1
        return wait_s if refused else 0.0


def _tokens(rate_per_s: float, burst: float) -> float:
    return max(1.0, burst or rate_per_s)
