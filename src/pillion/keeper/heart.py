"""Heartbeats counted in ticks of the keeper, not in seconds: while everything is paused nothing ticks, so a pause is no hang."""

from __future__ import annotations

# An app that asks for a shorter watchdog than this would have us do nothing else.
MIN_TIMEOUT_S = 0.1
# A watchdog's timeout in ticks: what a pause can cost of it is at most one of these.
_WATCHDOG_TICKS = 4
_SIDECAR_TICKS = 2


class Heart:
    """Misses of one process: `beat` on each sign of life, `tick` at `due_s`. Hung after `limit` ticks in silence.

    The first tick comes `first_s` after a beat, the others every `tick_s`. All times are monotonic seconds.
    """

    __slots__ = ("due_s", "first_s", "limit", "misses", "tick_s")

    def __init__(
        self, limit: int, misses: int = 0, *, tick_s: float = 1.0, first_s: float | None = None
    ) -> None:
        self.limit = limit
        self.misses = misses
        self.tick_s = tick_s
        self.first_s = tick_s if first_s is None else first_s
        self.due_s = 0.0

    def beat(self, now_s: float) -> None:
        """Note a sign of life."""
        self.misses = 0
        self.due_s = now_s + self.first_s

    def tick(self, now_s: float) -> bool:
        """Count one tick; True when `limit` of them have passed in silence.

        A tick that comes a whole tick late is not counted: we were not there ourselves (stopped, frozen, starved), so nobody can have
        been heard.
        """
        late_s = now_s - self.due_s
        self.due_s = now_s + self.tick_s
        if late_s > self.tick_s:
            return False
        self.misses += 1
        return self.misses >= self.limit

    @property
    def silence_s(self) -> float:
        """How long a silence lasts until it is a hang."""
        return self.first_s + (self.limit - 1) * self.tick_s

    @property
    def deadline_s(self) -> float:
        """When the last tick comes if nothing is heard until then."""
        return self.due_s + max(0, self.limit - self.misses - 1) * self.tick_s

    def extend(self, until_s: float) -> None:
        """Put the deadline off to `until_s`; never forward, as sd_notify(3) has it for EXTEND_TIMEOUT_USEC."""
        if until_s > self.deadline_s:
            self.misses = self.limit - 1
            self.due_s = until_s


def watchdog(timeout_s: float, now_s: float) -> Heart:
    """Return the heart of an app that has to be heard within each `timeout_s`: hung at the timeout, not before."""
    heart = Heart(_WATCHDOG_TICKS, tick_s=max(timeout_s, MIN_TIMEOUT_S) / _WATCHDOG_TICKS)
    heart.beat(now_s)
    return heart


def sidecar(interval_s: float, misses: int) -> Heart:
    """Return the heart of a process that beats every `interval_s` by itself: hung half an interval before it has missed `misses` beats.

    Whoever beats in time is never ticked: an idle sidecar costs no tick.
    """
    silence_s = interval_s * (max(misses, 2) - 0.5)
    tick_s = interval_s * max(misses, 2) / 8
    return Heart(_SIDECAR_TICKS, tick_s=tick_s, first_s=silence_s - tick_s * (_SIDECAR_TICKS - 1))
