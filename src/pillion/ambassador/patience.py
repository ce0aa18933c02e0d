"""A bound in time that blames nobody for our own lateness: what has happened while the loop did not look is looked at before the verdict."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

GRACE_S = 0.005
"""From the moment when the time is over to the verdict: long enough for the loop to look at its sockets once."""


class Patience:
    """As `asyncio.timeout(seconds)`: cancels the task in its block, and raises TimeoutError out of it. None: never.

    A loop runs its timers before it looks at its sockets; so one that was late (a process that was stopped, a host that did
    something else) would give up what is long there. Here time counts only while the loop was looking: who comes late gives
    as much again as it was late.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._inner: asyncio.Timeout | None = None
        self._due_s = 0.0

    async def __aenter__(self) -> Self:
        self._inner = asyncio.timeout(None)
        await self._inner.__aenter__()
        if self._seconds is not None:
            self._wait(self._seconds)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        assert self._inner is not None
        await self._inner.__aexit__(kind, error, traceback)

    def _wait(self, seconds: float) -> None:
        self._due_s = self._loop.time() + seconds
        self._timer = self._loop.call_at(self._due_s, self._over)

    def _over(self) -> None:
        late_s = self._loop.time() - self._due_s
        if late_s > GRACE_S and self._seconds is not None:
            self._wait(min(late_s, self._seconds))
        else:
            self._timer = self._loop.call_later(GRACE_S, self._end)

    def _end(self) -> None:
        self._timer = None
        assert self._inner is not None
        self._inner.reschedule(self._loop.time())
