"""When gathered changes are due: soon after the last one, and never later than a bound after the first, so that a storm of changes
costs a bounded number of reloads and none waits for ever."""

from __future__ import annotations

import msgspec


class Gathering(msgspec.Struct, frozen=True):
    """Changes that wait to be applied: when the first and the last of them came, and how many there were."""

    first_s: float | None = None
    last_s: float = 0.0
    count: int = 0

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return self.first_s is not None

    def add(self, now: float) -> Gathering:
        """One more, at `now`. A clock that has gone back does not put off what waits."""
        first = now if self.first_s is None else self.first_s
        return Gathering(first, max(now, self.last_s), self.count + 1)

    def due_s(self, min_s: float, max_s: float) -> float | None:
        """When they are due: `min_s` after the last, at most `max_s` after the first; None when nothing waits."""
        if self.first_s is None:
            return None
        return min(self.last_s + min_s, self.first_s + max(min_s, max_s))


NOTHING = Gathering()
