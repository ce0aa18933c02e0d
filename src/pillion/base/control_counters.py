"""What the wire counts: its losses, and how late the loop that serves it runs."""

from __future__ import annotations

import msgspec


class Counters(msgspec.Struct):
    """What went wrong on the wire, since the start."""

    dropped: int = 0
    malformed: int = 0
    unknown: int = 0


class LoopLag(msgspec.Struct):
    """How late the loop's timers are: the last heartbeat's lateness and the worst, in seconds."""

    last_s: float = 0.0
    worst_s: float = 0.0

    def observe(self, late_s: float) -> None:
        """Take note of a timer that came `late_s` seconds after its time."""
        self.last_s = max(0.0, late_s)
        self.worst_s = max(self.worst_s, self.last_s)
