"""Whether a request that failed is tried again, and when: the outermost part of retry(breaker(timeout(call))).

Only what is safe to repeat is repeated: idempotent methods (RFC 9110 section 9.2.2), or a request of which no byte has
reached the other side; never past the budget, never when the wait does not fit into the time that is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from pillion.http.methods import IDEMPOTENT

from .conditions import Conditions

if TYPE_CHECKING:
    from random import Random

    from pillion.settings.policies import Retry

    from .budget import Budget

_MOST_DOUBLINGS: Final = 30


class Failure(msgspec.Struct, frozen=True):
    """How a try failed.

    `kind` is connect, reset, timeout, or status (with its `status`); `sent` whether any byte of the
    request may have reached the other side; `retry_after_s` what a Retry-After field said.
    """

    kind: str
    status: int = 0
    sent: bool = True
    retry_after_s: float | None = None


def is_idempotent(method: str) -> bool:
    """Whether repeating a request with this method has the effect of making it once (RFC 9110 section 9.2.2)."""
    return method in IDEMPOTENT


class RetryPolicy:
    """The retries of a route or upstream. It keeps nothing about requests."""

    __slots__ = ("_attempts", "_conditions", "_initial_s", "_max_s", "_retry_after_s", "_unsafe")

    def __init__(self, settings: Retry) -> None:
        self._attempts = settings.attempts
        self._conditions = Conditions(settings.on)
        self._unsafe = settings.unsafe
        self._initial_s = settings.initial_s
        self._max_s = settings.max_s
        self._retry_after_s = settings.retry_after_s

    @property
    def attempts(self) -> int:
        """How many further tries there may be; 0: none, and nothing need be kept for them."""
        return self._attempts

    def is_failure(self, status: int) -> bool:
        """Whether an answer with `status` would be tried again."""
        return self._conditions.status(status)

    def delay(
        self,
        attempt: int,
        failure: Failure,
        *,
        idempotent: bool,
        replayable: bool,
        left_s: float,
        budget: Budget,
        random: Random,
        now: float,
    ) -> float | None:
        """In how many seconds to try again after try number `attempt` (from 1) failed; None: not at all.

        `replayable`: the whole request can be sent again, and the app has received nothing of an
        answer. `left_s`: what is left of the total time, infinite without one. The wait is random
        in [0, min(max, initial * 2^(attempt-1))], or what Retry-After asks for where that is more;
        a Retry-After beyond the honoured one ends the tries. The budget is asked last, so that
        only what happens is counted.
        """
        if attempt > self._attempts or not replayable:
            return None
        if not self._conditions.matches(failure.kind, failure.status):
            return None
        if failure.sent and not idempotent and not self._unsafe:
            return None
        doublings = min(attempt - 1, _MOST_DOUBLINGS)
        delay_s = random.random() * min(self._max_s, self._initial_s * (1 << doublings))
        asked_s = failure.retry_after_s
        if asked_s is not None:
            if asked_s > self._retry_after_s:
                return None
            delay_s = max(delay_s, asked_s)
        if delay_s >= left_s or not budget.take(now):
            return None
        return delay_s
