"""Calls to the keeper under way: who waits for which number, and until when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.errors import RefusedError, UnreachableError

if TYPE_CHECKING:
    import asyncio

    from pillion.base.control_messages import Reply

CALLS_UNDER_WAY = 64


class _Waiting(msgspec.Struct):
    method: str
    future: asyncio.Future[bytes]
    timer: asyncio.TimerHandle


class Calls:
    """The table of calls under way, at most `limit`; used from one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, limit: int = CALLS_UNDER_WAY) -> None:
        self._loop = loop
        self._limit = limit
        self._waiting: dict[int, _Waiting] = {}
        self._last = 0

    def open(self, method: str, timeout_s: float) -> tuple[int, asyncio.Future[bytes]]:
        """Return a new call's number and the future of its result as JSON.

        The future fails with `RefusedError` for a no, with `UnreachableError` after `timeout_s` seconds.
        Raises `UnreachableError` when the table is full.
        """
        if len(self._waiting) >= self._limit:
            raise UnreachableError(
                f"cannot call {method}: {self._limit} calls wait for the keeper; try again later"
            )
        self._last += 1
        future: asyncio.Future[bytes] = self._loop.create_future()
        error = UnreachableError(
            f"cannot finish {method}: the keeper did not answer within {timeout_s:g} s; "
            "look at `pillion events` and try again"
        )
        timer = self._loop.call_later(timeout_s, self._fail, self._last, error)
        self._waiting[self._last] = _Waiting(method, future, timer)
        return self._last, future

    def close(self, number: int) -> None:
        """Forget a call, whatever became of it."""
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            waiting.timer.cancel()

    def answered(self, reply: Reply) -> None:
        """Hand a reply to whoever waits for it; one that came too late is ignored."""
        waiting = self._waiting.get(reply.id)
        if waiting is None or waiting.future.done():
            return
        if reply.error is None:
            waiting.future.set_result(bytes(reply.result))
        else:
            no = reply.error
            waiting.future.set_exception(RefusedError(no.status, no.title, no.detail))

    def lost(self) -> None:
        """The keeper's end closed: nobody needs to wait any longer."""
        for number, waiting in self._waiting.items():
            text = f"cannot finish {waiting.method}: the keeper is gone; start the instance again"
            self._fail(number, UnreachableError(text))

    def _fail(self, number: int, error: UnreachableError) -> None:
        waiting = self._waiting[number]
        if not waiting.future.done():
            waiting.future.set_exception(error)
