"""How much is sent at once: little at first and to a slow receiver, all that is allowed to a fast one.

What is under way when a process is killed is sent again by the next. With a receiver that needs seconds for a full batch,
frequent deaths would mean no progress at all, and a receiver that comes back would be met by everything at once.
"""

from __future__ import annotations

import msgspec

FAST_S = 0.25
SLOW_S = 1.0
LEAST = 1 / 16
FIRST = 1 / 8


class Pace(msgspec.Struct):
    """`share` of a full batch, and `window` batches under way, at most `most`."""

    most: int
    share: float = FIRST
    window: int = 1

    def answered(self, after_s: float) -> None:
        """Note that a batch was answered after `after_s` seconds."""
        if after_s < FAST_S:
            if self.share >= 1.0:
                self.window = min(self.most, self.window + 1)
            self.share = min(1.0, self.share * 2)
        elif after_s > SLOW_S:
            self.share = max(LEAST, self.share / 2)
            self.window = 1

    def failed(self) -> None:
        """Note an attempt without an answer, or with a no: begin anew."""
        self.share = FIRST
        self.window = 1
