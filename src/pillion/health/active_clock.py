"""A clock that does not count pauses: a container that was paused, or a loop that was held up, has lost time, and nothing is sick
for it."""

from __future__ import annotations

SLACK_S = 1.0
"""Timers are this much late on a busy host; what is more is a pause."""


class ActiveClock:
    """Seconds of the monotonic clock less those in which we did not run.

    A pause shows by a timer that comes late, since nothing else tells of one (CLOCK_MONOTONIC goes on while a
    process is stopped or frozen).
    """

    def __init__(self) -> None:
        self.paused_s = 0.0

    def at(self, monotonic: float) -> float:
        """The time of this clock when the monotonic one says `monotonic`."""
        return monotonic - self.paused_s

    def monotonic(self, active: float) -> float:
        """The other way round."""
        return active + self.paused_s

    def fired(self, due: float, monotonic: float) -> bool:
        """Take note of a timer, due at `due` of this clock, that fired at `monotonic`; True after a pause."""
        late = self.at(monotonic) - due
        if late <= SLACK_S:
            return False
        self.paused_s += late
        return True
