"""The way of an instance's output to one sink: earlier runs first, every stream from its position, in bounded batches.

Sinks run beside each other, each with its own readers and positions, so that a receiver that is away holds up nobody
but itself. Memory is bounded by the batches under way: while they are not taken, nothing is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from pillion.logs.batch import Draft
from pillion.logs.delivery import Delivery
from pillion.logs.intake import Intake
from pillion.logs.positions import FILES
from pillion.logs.recognise import Recogniser
from pillion.logs.spool import DAMAGED, DELETED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Executor

    from pillion.logs.delivery import Tell
    from pillion.logs.feed import Feed
    from pillion.logs.followed import FollowedFiles
    from pillion.logs.lines import Item
    from pillion.logs.multiline import Joiner
    from pillion.logs.positions import Key, Positions
    from pillion.logs.retry import Backoff
    from pillion.logs.sinks import Sink
    from pillion.logs.spool import Gap
    from pillion.logs.waker import Waker

# Between two looks without a report of growth: rarely where reports come, since an idle sidecar should not wake.
IDLE_S = 5.0
IDLE_POLLING_S = 1.0
MEASURE_S = 1.0
READ_ATTEMPTS = 10
POSITIONS_EVERY_S = 0.1
POSITIONS_AGAIN_S = 1.0


class Limits(msgspec.Struct, frozen=True):
    """How much goes into a batch (`bytes` before compression), how long a record waits, how long a line may be."""

    batch_bytes: int = 1 << 20
    batch_records: int = 8192
    wait_s: float = 1.0
    line_bytes: int = 256 * 1024


class Shipping:
    """Ships everything under `state_dir` to one sink until `stop` or `retire`.

    `resource` gives a run's resource attributes, `joiner` a stream's joiner of lines (None joins none), `tell` puts an
    entry into the journal. Streams that `selects` does not want are left to others; `passed_over` is told their names, each
    once. Disk is read in threads of `executor`, so that one that hangs does not hang the loop.
    """

    def __init__(
        self,
        sink: Sink,
        positions: Positions,
        *,
        state_dir: str,
        run: str,
        waker: Waker,
        executor: Executor,
        resource: Callable[[str], Mapping[str, object]],
        tell: Tell,
        age_limit_s: float,
        backoff: Backoff | None = None,
        limits: Limits | None = None,
        joiner: Callable[[str], Joiner | None] = lambda _stream: None,
        recogniser: Recogniser | None = None,
        files: FollowedFiles | None = None,
        selects: Callable[[str], bool] = lambda _stream: True,
        passed_over: Callable[[str], None] = lambda _stream: None,
    ) -> None:
        self.sink = sink
        self.delivery = Delivery(
            sink,
            acknowledge=self._acknowledge,
            tell=tell,
            age_limit_s=age_limit_s,
            backoff=backoff,
        )
        self.positions = positions
        self.lost_bytes: dict[str, int] = {}
        self.read_errors = 0
        self.lines = 0
        self.begun = False
        self._waker = waker
        self._executor = executor
        self._tell = tell
        self._limits = limits or Limits()
        self._recogniser = recogniser or Recogniser()
        self._intake = Intake(
            state_dir,
            run,
            positions,
            line_bytes=self._limits.line_bytes,
            joiner=joiner,
            files=files,
            selects=selects,
        )
        self._passed_over = passed_over
        self._known_to_others: set[str] = set()
        self._draft = Draft(
            sink,
            resource,
            max_bytes=self._limits.batch_bytes,
            max_records=self._limits.batch_records,
        )
        self._measured_s = 0.0
        self._told_loss_s: dict[str, float] = {}
        self._deadline_s: float | None = None
        self._unlisted = False
        self._retiring = False
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        # One write of the positions at a time: an older one must not land behind a newer, nor be under way when we exit.
        self._writing = asyncio.Lock()
        self._moved = asyncio.Event()

    @property
    def lag_bytes(self) -> dict[str, int]:
        """About how many bytes of each stream are still to be read, over all runs."""
        lag: dict[str, int] = {}
        for feed in self._intake.feeds():
            lag[feed.stream] = lag.get(feed.stream, 0) + feed.lag_bytes
        return lag

    async def run(self) -> None:
        """Ship until told to stop."""
        self.begun = True
        try:
            while not self._retiring:
                generation = self._waker.generation
                stopping = self._deadline_s is not None
                found = await self._pass()
                if stopping and (not found or self._loop.time() > (self._deadline_s or 0)):
                    break
                if not found:
                    await self._idle(generation)
            if not self._retiring:
                await self._finish()
            # Only here: when this task is cancelled, a thread may still be reading.
            for feed in self._intake.feeds():
                feed.close()
        finally:
            self._ended.set()

    async def write_positions(self) -> None:
        """Write positions as they move, not more often than every 100 ms; never ends by itself."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            if self.positions.dirty and not await self._write_positions():
                await asyncio.sleep(POSITIONS_AGAIN_S)
                self._moved.set()
            await asyncio.sleep(POSITIONS_EVERY_S)

    async def stop(self, grace_s: float) -> bool:
        """Ship what is there to the present end, within `grace_s` seconds; False when something was left."""
        started = self._loop.time()
        self._deadline_s = started + grace_s * 0.9
        self._waker.wake()
        self.delivery.hurry()
        try:
            async with asyncio.timeout(grace_s * 0.9):
                await self._ended.wait()
        except TimeoutError:
            self._retiring = True
        left_s = max(0.05, grace_s * 0.9 - (self._loop.time() - started))
        return await self._close(left_s)

    async def retire(self, within_s: float) -> bool:
        """Read no more, let what is under way land within `within_s` seconds, and leave the rest to the successor."""
        started = self._loop.time()
        self._retiring = True
        self._waker.wake()
        # A pass that is reading may still send what it has read; one that waits for a full window ends with `retiring`.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s / 2):
                await self._ended.wait()
        return await self._close(max(0.05, within_s - (self._loop.time() - started)))

    async def _close(self, within_s: float) -> bool:
        settled = await self.delivery.settle(within_s)
        await self.delivery.close()
        try:
            async with asyncio.timeout(1.0):
                await self._write_positions()
        except TimeoutError:
            self.positions.failures += 1
        await self.sink.close()
        self.positions.unlock()
        return settled

    async def _write_positions(self) -> bool:
        async with self._writing:
            if not self.positions.dirty:
                return True
            contents = self.positions.encode()
            failing = self.positions.error != ""
            written = await self._loop.run_in_executor(
                self._executor, self.positions.write, contents
            )
        if not written and not failing:
            self._tell(
                "failed",
                f"cannot write {self.positions.path}: {self.positions.error}; shipping goes on, "
                "and what is shipped meanwhile is shipped again after a restart",
                {"sink": self.sink.name},
            )
        return written

    async def _pass(self) -> bool:
        """Read one block of each stream and take it; False when there was nothing."""
        now_s = self._loop.time()
        measure = now_s - self._measured_s >= MEASURE_S
        if measure:
            self._measured_s = now_s
        try:
            read_blocks = partial(self._intake.read, measure=measure)
            blocks = await self._loop.run_in_executor(self._executor, read_blocks)
        except OSError as error:
            self._cannot_list(error)
            return False
        for stream in self._intake.passed_over - self._known_to_others:
            self._known_to_others.add(stream)
            self._passed_over(stream)
        found = False
        for feed, read in blocks:
            if self._retiring:
                return False
            if isinstance(read, OSError):
                self._cannot_read(feed, read)
                continue
            items = feed.items(read, now_s, self._gap) if read else feed.due(now_s)
            if feed.final and not read:
                items += feed.finish(now_s)
                feed.finished = True
                if feed.key[0] == FILES:
                    feed.close()
            if items:
                await self._take(feed, items)
            found = found or bool(read)
        self._intake.forget_finished()
        if found:
            self._waker.grew()
        if self._draft.count and self._waited(now_s):
            await self._dispatch()
        return found

    async def _take(self, feed: Feed, items: Sequence[Item]) -> None:
        at = 0
        self.lines += len(items)
        while at < len(items):
            self._draft.share = self.delivery.pace.share
            at = self._draft.fill(feed, items, at, self._recogniser, self._loop.time())
            if self._draft.full:
                await self._dispatch()
                if self._retiring:
                    return

    async def _dispatch(self) -> None:
        # Sealed only when there is room, so that what waits is not held twice.
        await self.delivery.room()
        if not self._retiring:
            self.delivery.send(self._draft.seal())

    def _waited(self, now_s: float) -> bool:
        return now_s - self._draft.began_s >= self._limits.wait_s

    async def _idle(self, generation: int) -> None:
        """Wait for growth, or until something that is held back is due."""
        now_s = self._loop.time()
        polling = self._waker.polls or self._intake.follows_files
        until_s = now_s + (IDLE_POLLING_S if polling else IDLE_S)
        if self._draft.count:
            until_s = min(until_s, self._draft.began_s + self._limits.wait_s)
        for feed in self._intake.feeds():
            if feed.deadline_s is not None:
                until_s = min(until_s, feed.deadline_s)
        if self._intake.watch(self._waker):
            return
        await self._waker.wait(generation, max(0.001, until_s - now_s))

    async def _finish(self) -> None:
        """Take what is held back, and send the last batch."""
        now_s = self._loop.time()
        for feed in self._intake.feeds():
            if not feed.finished:
                await self._take(feed, feed.finish(now_s))
        if self._draft.count:
            await self._dispatch()

    def _acknowledge(self, ends: Mapping[Key, int]) -> None:
        self._intake.acknowledge(ends)
        self._moved.set()

    def _gap(self, feed: Feed, gap: Gap) -> None:
        stream = feed.stream
        self.lost_bytes[stream] = self.lost_bytes.get(stream, 0) + gap.end - gap.start
        if gap.why not in (DAMAGED, DELETED):
            return  # the scribe has told of it when it dropped it
        now_s = time.monotonic()
        if now_s - self._told_loss_s.get(stream, -60.0) < 10.0:
            return
        self._told_loss_s[stream] = now_s
        self._tell(
            "output-lost",
            f"{gap.end - gap.start} bytes of {stream} were {gap.why} in the spool before they were shipped",
            {"sink": self.sink.name, "stream": stream, "from": gap.start, "to": gap.end},
        )

    def _cannot_list(self, error: OSError) -> None:
        self.read_errors += 1
        if not self._unlisted:
            self._unlisted = True
            self._tell(
                "failed",
                f"cannot list the spool: {error}; it is tried again every few seconds",
                {"sink": self.sink.name},
            )

    def _cannot_read(self, feed: Feed, error: OSError) -> None:
        self.read_errors += 1
        feed.errors += 1
        if feed.final and feed.errors >= READ_ATTEMPTS:
            feed.finished = True  # an earlier run's; the next start of the shipper tries again
        if feed.errors == 1:
            self._tell(
                "failed",
                f"cannot read {feed.stream} of run {feed.run}: {error}; it is tried again every second",
                {"sink": self.sink.name, "stream": feed.stream},
            )
