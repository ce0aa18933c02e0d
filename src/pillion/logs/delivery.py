"""Batches under way to one sink: sent at once, sent again by the rules, and acknowledged in order.

A position moves only past what has been taken, whatever overtook it: the oldest batch under way holds it back. While the
receiver fails, only the oldest one tries, so that a receiver that comes back is not met by all at once.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from pillion.logs.pace import Pace
from pillion.logs.retry import Backoff, Stall
from pillion.logs.sinks import Again, Refused, Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pillion.logs.batch import Batch
    from pillion.logs.positions import Key
    from pillion.logs.sinks import Outcome, Sink
    from pillion.model.event import Json

    # kind, reason, data: an entry for the journal.
    Tell = Callable[[str, str, dict[str, Json]], None]

LOSS_EVERY_S = 10.0


class Counters(msgspec.Struct):
    """What became of everything, since the start."""

    records: int = 0
    bytes: int = 0
    batches: int = 0
    retries: int = 0
    dropped_records: int = 0
    rejected_records: int = 0


class _Flight(msgspec.Struct, eq=False):
    batch: Batch
    done: bool = False
    task: asyncio.Task[None] | None = None


class Delivery:
    """Delivers to `sink`; `acknowledge` is told the positions that hold, `tell` what is for the journal.

    A batch whose first record is older than `age_limit_s` is dropped when the receiver fails; until then it is tried.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        acknowledge: Callable[[Mapping[Key, int]], None],
        tell: Tell,
        age_limit_s: float,
        backoff: Backoff | None = None,
        stall: Stall | None = None,
        pace: Pace | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.counters = Counters()
        self.pace = pace or Pace(sink.in_flight)
        self._sink = sink
        self._acknowledge = acknowledge
        self._tell = tell
        self._age_limit_ns = int(age_limit_s * 1e9)
        self._backoff = backoff or Backoff()
        self._stall = stall or Stall()
        self._now_ns = now_ns
        self._loop = asyncio.get_running_loop()
        self._flights: deque[_Flight] = deque()
        # What was not told yet of a kind of loss, and when it was told last.
        self._losses: dict[str, tuple[int, float]] = {}
        self._failing = False
        self._hurried = False
        self._changed = asyncio.Event()

    @property
    def stalled(self) -> bool:
        """Whether shipping stalls, as the journal was told."""
        return self._stall.stalled

    @property
    def under_way(self) -> int:
        """How many batches are under way."""
        return len(self._flights)

    async def room(self) -> None:
        """Wait while as many batches are under way as the sink and the pace allow."""
        while len(self._flights) >= self.pace.window:
            await self._changed.wait()

    def send(self, batch: Batch) -> None:
        """Send `batch` off; after `room`."""
        flight = _Flight(batch)
        self._flights.append(flight)
        flight.task = self._loop.create_task(self._fly(flight), name=f"ship {self._sink.name}")

    def hurry(self) -> None:
        """Try what waits for its next attempt at once: the process is ending."""
        self._hurried = True
        self._notify()

    async def settle(self, within_s: float) -> bool:
        """Wait until nothing is under way, at most `within_s` seconds; waiting retries are tried at once."""
        self.hurry()
        deadline = self._loop.time() + within_s
        while self._flights and (left := deadline - self._loop.time()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                break
        return not self._flights

    async def close(self) -> None:
        """End what is under way; it will be shipped again."""
        tasks = [flight.task for flight in self._flights if flight.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)
        self._flights.clear()

    async def _fly(self, flight: _Flight) -> None:
        attempt = 0
        while True:
            await self._turn(flight)
            started_s = self._loop.time()
            outcome = await self._attempt(flight.batch)
            match outcome:
                case Sent():
                    self.pace.answered(self._loop.time() - started_s)
                    self._taken(flight.batch, outcome)
                    break
                case Refused(why):
                    self._lost(flight.batch, why)
                    self._answered()
                    break
                case Again(why, asked_s):
                    attempt += 1
                    self.counters.retries += 1
                    self._failed(why)
                    if self._now_ns() - flight.batch.oldest_ns > self._age_limit_ns:
                        self._lost(flight.batch, f"{why}, until it was too old to keep")
                        break
                    delay_s = self._backoff.delay_s(attempt, asked_s, random.random)
                    await self._wait(delay_s)
        flight.done = True
        self._land()

    async def _attempt(self, batch: Batch) -> Outcome:
        try:
            return await self._sink.send(batch.body)
        except Exception as error:  # noqa: BLE001 # a fault of ours must not lose the batch or end shipping in silence
            return Again(f"cannot send: {type(error).__name__}: {error}")

    async def _turn(self, flight: _Flight) -> None:
        """While the receiver fails, only the oldest batch is sent."""
        while self._failing and self._flights[0] is not flight:
            await self._changed.wait()

    async def _wait(self, delay_s: float) -> None:
        """Wait before the next attempt; when the process is ending, a moment must do."""
        until = self._loop.time() + delay_s
        while (left := until - self._loop.time()) > 0:
            if self._hurried:
                await asyncio.sleep(min(left, 0.2))
                return
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                return

    def _taken(self, batch: Batch, outcome: Sent) -> None:
        counters = self.counters
        counters.batches += 1
        counters.records += batch.count - outcome.rejected
        counters.bytes += len(batch.body)
        if outcome.rejected:
            counters.rejected_records += outcome.rejected
            self._tell_loss(f"were rejected by the receiver: {outcome.message}", outcome.rejected)
        self._answered()

    def _lost(self, batch: Batch, why: str) -> None:
        self.counters.dropped_records += batch.count
        self._tell_loss(f"were not shipped: {why}", batch.count)

    def _tell_loss(self, why: str, records: int) -> None:
        """Tell of a loss at once, and of the same again only after a while: the journal is shipped too."""
        now_s = self._loop.time()
        untold, told_s = self._losses.get(why, (0, -LOSS_EVERY_S))
        untold += records
        if now_s - told_s < LOSS_EVERY_S:
            self._losses[why] = (untold, told_s)
            return
        if len(self._losses) > 32:
            self._losses.clear()
        self._losses[why] = (0, now_s)
        self._tell(
            "output-lost",
            f"{untold} records {why}",
            {"sink": self._sink.name, "records": untold},
        )

    def _failed(self, why: str) -> None:
        self._failing = True
        self.pace.failed()
        if self._stall.failed(self._loop.time()):
            self._tell(
                "shipping-stalled",
                f"{why}; it is tried again until the records are too old to keep",
                {"sink": self._sink.name},
            )

    def _answered(self) -> None:
        self._failing = False
        stalled_s = self._stall.succeeded(self._loop.time())
        if stalled_s is not None:
            self._tell(
                "shipping-resumed",
                f"shipping goes on after {stalled_s:.0f} s",
                {"sink": self._sink.name, "seconds": round(stalled_s, 1)},
            )

    def _land(self) -> None:
        while self._flights and self._flights[0].done:
            self._acknowledge(self._flights.popleft().batch.ends)
        self._notify()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
