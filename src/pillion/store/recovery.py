"""How the store stands, told to whoever wants to know; while it does not work it is tried again, ever less often, and only then."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

from pillion.store.interface import Health

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST_S, _MOST_S = 0.1, 5.0


def backoff_s(attempt: int, chance: Callable[[], float] = random.random) -> float:
    """Seconds to wait before the attempt after `attempt` failed ones: doubling to 5, less up to a half by chance."""
    wait = min(_MOST_S, _FIRST_S * 2.0 ** min(attempt, 16))
    return wait * (0.5 + 0.5 * chance())


class Recovery:
    """Keeps `health`; `again` is called from the loop when it is time for another attempt.

    `again` must lead to `set`, whatever comes of it, or the attempts end.
    """

    def __init__(self, again: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._again = again
        self._callbacks: list[Callable[[Health], None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._attempts = 0
        self._closed = False
        self.health = Health(
            readable=False,
            writable=False,
            reason="cannot use the store: it has not been opened yet; try again in a moment",
            since_s=time.time(),
        )

    def on_health(self, callback: Callable[[Health], None]) -> None:
        """See `Store.on_health`."""
        self._callbacks.append(callback)

    def set(self, *, readable: bool, writable: bool, reason: str) -> None:
        """How the store stands now; sees to the next attempt when that is not well."""
        health = self.health
        if (readable, writable, reason) != (health.readable, health.writable, health.reason):
            self.health = Health(readable, writable, reason, since_s=time.time())
            for callback in self._callbacks:
                callback(self.health)
        if readable and writable:
            self._attempts = 0
            self._stop()
        elif self._timer is None and not self._closed:
            self._timer = self._loop.call_later(backoff_s(self._attempts), self._try)
            self._attempts += 1

    def soon(self) -> None:
        """Somebody says that the store may be back: do not wait much longer."""
        if self._timer is not None and self._timer.when() > self._loop.time() + _FIRST_S:
            self._stop()
            self._timer = self._loop.call_later(backoff_s(0), self._try)

    def close(self) -> None:
        """Try no more."""
        self._closed = True
        self._stop()

    def _try(self) -> None:
        self._timer = None
        self._again()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
