"""Heartbeats counted in ticks of the keeper, not in seconds: while everything is paused nothing ticks, so a pause is no hang."""

from __future__ import annotations

BEATS = "beats"
ABORT = "abort"
KILL = "kill"

# Ticks between SIGABRT, which leaves a trace of every thread, and SIGKILL.
GRACE_TICKS = 2


class Heart:
    """Misses of one process. `beat` on each sign of life, `tick` once per interval."""

    __slots__ = ("limit", "misses")

    def __init__(self, limit: int, misses: int = 0) -> None:
        self.limit = limit
        self.misses = misses

    def beat(self) -> None:
        """Note a sign of life."""
        self.misses = 0

    def tick(self) -> str:
        """Return BEATS, or once ABORT when `limit` ticks passed in silence, and KILL when the abort did not end it."""
        self.misses += 1
        if self.misses == self.limit + 1:
            return ABORT
        if self.misses > self.limit + GRACE_TICKS:
            return KILL
        return BEATS
