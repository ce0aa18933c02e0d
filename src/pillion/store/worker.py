"""One thread that does what blocks, in order, for a loop that must not: what waits is bounded, and so is how long it may take.

A disk that hangs holds the thread, not the loop: whoever waits gets an error after `BOUND_S`, and the thread comes back
when the disk does.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from pillion.store.interface import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

BOUND_S = 15.0
MOST_WAITING = 4096
_MOST_AT_ONCE = 64

J = TypeVar("J", bound="Job")


class Job:
    """One piece of work: the thread fills in `result` or `error`, the loop wakes who waits for `done`."""

    __slots__ = ("done", "error", "result", "timer")

    def __init__(self) -> None:
        self.done: asyncio.Future[object] | None = None
        self.result: object = None
        self.error: BaseException | None = None
        self.timer: asyncio.TimerHandle | None = None

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits any more; may be asked from the thread."""
        return self.done is None or self.done.done()


class Worker(Generic[J]):
    """The thread `name`. `carry_out` gets what waits, at most 64 at once; `idle` is called when nothing does.

    `idle` returns whether it wants to be called again at the next such moment; `ended` is called last, in the thread.
    `carried_out` is called in the loop after each batch, before who waits is woken, and `delivered` after that: whoever has
    asked goes on first.
    """

    def __init__(
        self,
        name: str,
        carry_out: Callable[[list[J]], None],
        *,
        idle: Callable[[], bool],
        ended: Callable[[], None],
        carried_out: Callable[[], None],
        delivered: Callable[[], None],
        too_late: Callable[[], None],
        bound_s: float = BOUND_S,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._carry_out = carry_out
        self._idle = idle
        self._ended = ended
        self._carried_out = carried_out
        self._delivered = delivered
        self._too_late = too_late
        self._bound_s = bound_s
        self._queue: queue.SimpleQueue[J | None] = queue.SimpleQueue()
        self._finished: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._closing = False
        self.waiting = 0
        self.refused = 0
        self.late = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def do(self, job: J) -> object:
        """Have `job` done and return its result, or raise its error; `StoreUnavailableError` when it cannot be in time."""
        if self._closing:
            raise StoreUnavailableError("cannot use the store: it is being closed; try again later")
        if self.waiting >= MOST_WAITING:
            self.refused += 1
            raise StoreUnavailableError(
                f"cannot use the store: {self.waiting} requests wait for it already; send fewer at once"
            )
        job.done = self._loop.create_future()
        job.timer = self._loop.call_later(self._bound_s, self._give_up, job)
        self.waiting += 1
        self._queue.put(job)
        try:
            return await job.done
        finally:
            job.timer.cancel()

    async def close(self, within_s: float) -> bool:
        """Do what waits, end the thread; False when it did not end in time, and is left to end with the process."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        if not self._thread.ident:
            return True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._finished), within_s)
        return self._finished.done()

    def _give_up(self, job: J) -> None:
        self.late += 1
        if job.done is not None and not job.done.done():
            job.done.set_exception(
                StoreUnavailableError(
                    f"cannot use the store: its disk has not answered for {self._bound_s:g} s; a write may have "
                    "happened nevertheless, look at the disk"
                )
            )
        self._too_late()

    # In the thread.

    def _run(self) -> None:
        wants_idle = True
        while True:
            batch, end = self._next(wants_idle=wants_idle)
            if batch:
                wanted = [job for job in batch if not job.abandoned]
                if wanted:
                    self._carry_out(wanted)
                self._call(self._deliver, batch)
                wants_idle = True
            elif wants_idle and not end:
                wants_idle = self._idle()
            if end:
                break
        self._ended()
        self._call(self._finish)

    def _next(self, *, wants_idle: bool) -> tuple[list[J], bool]:
        """What waits; nothing at once when nothing does and there is idle work, otherwise after waiting for it."""
        batch: list[J] = []
        try:
            job = self._queue.get(block=not wants_idle)
            while job is not None:
                batch.append(job)
                if len(batch) == _MOST_AT_ONCE:
                    return batch, False
                job = self._queue.get(block=False)
        except queue.Empty:
            return batch, False
        return batch, True

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        # A loop that is closed waits for nothing.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    # In the loop.

    def _deliver(self, batch: list[J]) -> None:
        self.waiting -= len(batch)
        self._carried_out()
        for job in batch:
            if job.done is None or job.done.done():
                continue
            if job.error is not None:
                job.done.set_exception(job.error)
            else:
                job.done.set_result(job.result)
        self._delivered()

    def _finish(self) -> None:
        if not self._finished.done():
            self._finished.set_result(None)
