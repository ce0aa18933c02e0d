"""When to send again: the OTLP specification's rules as arithmetic, so that no test waits for them.

OTLP specification, "OTLP/HTTP Response", "Retryable Response Codes" and "OTLP/HTTP Throttling".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

RETRYABLE = frozenset((429, 502, 503, 504))
LONGEST_RETRY_AFTER_S = 3600.0


def retry_after_s(value: str, now_s: float) -> float | None:
    """Return the seconds that a Retry-After header asks for, from a number or an HTTP date; None for neither.

    RFC 9110, section 10.2.3. `now_s` is seconds since the epoch. Never more than an hour.
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER_S)
    # Rare, and the import costs memory that a shipper otherwise does not need.
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return min(max(0.0, moment.timestamp() - now_s), LONGEST_RETRY_AFTER_S)


class Backoff(msgspec.Struct, frozen=True):
    """Exponential, with jitter: between half and all of `initial_s * factor ** attempts`, at most `max_s`."""

    initial_s: float = 0.5
    max_s: float = 5.0
    factor: float = 2.0

    def delay_s(self, attempt: int, asked_s: float | None, random: Callable[[], float]) -> float:
        """Return how long to wait after the failed `attempt` (from 1); what the receiver asked for goes first.

        `random` gives a number in [0, 1).
        """
        if asked_s is not None:
            # Spread behind the time it asked for, never before it.
            return asked_s + random() * min(1.0, asked_s / 10)
        exponent = min(attempt - 1, 32)
        ceiling = min(self.max_s, self.initial_s * self.factor**exponent)
        return ceiling * (0.5 + random() / 2)


class Stall(msgspec.Struct):
    """Says once that shipping stalls, and once that it goes on."""

    after_s: float = 3.0
    stalled: bool = False
    _failing_since: float | None = None

    def failed(self, now_s: float) -> bool:
        """Note a failed attempt; True when it is time to say that shipping stalls."""
        if self._failing_since is None:
            self._failing_since = now_s
        if self.stalled or now_s - self._failing_since < self.after_s:
            return False
        self.stalled = True
        return True

    def succeeded(self, now_s: float) -> float | None:
        """Note an answer; the stall's length in seconds when one that was announced is over."""
        since, self._failing_since = self._failing_since, None
        if not self.stalled or since is None:
            return None
        self.stalled = False
        return now_s - since
