# cython: annotation_typing=False, auto_pickle=False
"""How much may be retried, so that retries never turn a slow upstream into a dead one.

Within ten seconds at most `ratio` of the requests, and `minimum` per second however few requests there are. Without a
budget every layer of callers multiplies the load just when there is no room for it.
"""

from typing import Final

from .window import Window

_SPAN_S: Final = 10.0


class Budget:
    """The retry budget of an upstream. `refused` counts retries that it did not grant."""

    __slots__ = ("_floor", "_ratio", "_window", "granted", "refused")

    def __init__(self, ratio: float, minimum: float) -> None:
        """`ratio` is a share of the requests, `minimum` a number per second."""
        self._window = Window(_SPAN_S)
        self.granted = 0
        self.refused = 0
        self.configure(ratio, minimum)

    def configure(self, ratio: float, minimum: float) -> None:
        """Go on with other bounds; what has been counted stays."""
        self._ratio = ratio
        self._floor = minimum * _SPAN_S

    def request(self, now: float) -> None:
        """Count a request (not a retry) that began at `now`."""
        self._window.add(now, 1, 0)

    def take(self, now: float) -> bool:
        """Whether a retry may begin at `now`; a granted one is counted."""
        window = self._window
        window.slide(now)
        if window.second + 1 > self._floor + self._ratio * window.first:
            self.refused += 1
            return False
        window.add(now, 0, 1)
        self.granted += 1
        return True
