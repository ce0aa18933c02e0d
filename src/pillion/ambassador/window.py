# cython: annotation_typing=False, auto_pickle=False
"""Two counts over the last seconds, in memory that does not grow with traffic: what breakers and retry budgets judge by.

The time is cut into ten buckets. When it moves on, the oldest are emptied, so the sums cover between nine tenths of
the span and all of it. A clock that jumps ahead empties them all; one that stands still or goes back fills the newest.
"""

from typing import Final

from pillion.http.codec import octets

_BUCKETS: Final = 10


class Window:
    """Counts `first` and `second` of the last `span_s` seconds."""

    __slots__ = ("_at", "_firsts", "_seconds", "_width", "first", "second")

    def __init__(self, span_s: float) -> None:
        self._width = span_s / _BUCKETS
        self._firsts = _nothing()
        self._seconds = _nothing()
        self._at = 0  # the newest bucket's number since the clock's zero
        self.first = 0
        self.second = 0

    def add(self, now: float, first: int, second: int) -> None:
        """Count, after forgetting what is too old at `now`."""
        self.slide(now)
        index = self._at % _BUCKETS
        self._firsts[index] += first
        self._seconds[index] += second
        self.first += first
        self.second += second

    def slide(self, now: float) -> None:
        """Forget what is too old at `now`."""
        newest = octets.whole(now / self._width)
        if newest <= self._at:
            return
        if newest - self._at >= _BUCKETS:
            self.clear()
        else:
            for number in range(self._at + 1, newest + 1):
                index = number % _BUCKETS
                self.first -= self._firsts[index]
                self.second -= self._seconds[index]
                self._firsts[index] = 0
                self._seconds[index] = 0
        self._at = newest

    def clear(self) -> None:
        """Forget everything."""
        self.first = 0
        self.second = 0
        for index in range(_BUCKETS):
            self._firsts[index] = 0
            self._seconds[index] = 0


def _nothing() -> list[int]:
    return [0] * _BUCKETS
