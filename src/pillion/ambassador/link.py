"""A worker's line to the agent: policy comes in, reports go out. Without the agent the worker goes on with what it has.

Nothing here waits for the agent, and nothing piles up: what an agent that does not read would make us hold is left out and counted, since
the next report says it all again.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from typing import TYPE_CHECKING, cast

from pillion import __version__
from pillion.ambassador import snapshot as snapshots
from pillion.ambassador.steering import AUTO, in_force
from pillion.ambassador.wire import (
    Applied,
    Frames,
    Hello,
    Refused,
    Transition,
    WireError,
    encode,
    to_worker,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from pillion.ambassador.snapshot import RawSnapshot
    from pillion.ambassador.wire import ToAgent
    from pillion.base.tasks import RootTasks

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
REPORT_EVERY_S = 1.0
REPORT_SOON_S = 0.05
# What an agent that is stopped is owed at most; transitions are small, and a report is whole.
MOST_UNSENT_BYTES = 1 << 20


class PolicyLink:
    """Make it inside the running loop, then `start`. Callbacks are called from the loop and must not raise.

    `path` is the agent's socket, `file_path` the last snapshot's file, `worker` this component's name. `on_snapshot` puts a snapshot in force, or returns
    why it cannot be; it takes its time, one snapshot after the other, and of those that come meanwhile the newest is next. `on_breaker` is given upstream, endpoint (its key) and action (`steering.ACTIONS`), after the snapshot that has the endpoint.
    `report` writes how things stand, a little in each turn, and returns it as it is sent (`wire.encode`); it may raise `WireError`.

    `revision` is that of the snapshot in force, 0 before there is one; `dropped` counts messages that an agent did not read in time.
    """

    def __init__(
        self,
        path: str,
        file_path: str,
        worker: str,
        on_snapshot: Callable[[RawSnapshot], Awaitable[str | None]],
        on_breaker: Callable[[str, str, str], None],
        report: Callable[[], Generator[None, None, bytes]],
        tasks: RootTasks,
    ) -> None:
        self._path = path
        self._file_path = file_path
        self._worker = worker
        self._on_snapshot = on_snapshot
        self._on_breaker = on_breaker
        self._report = report
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._line: _Line | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reported_s = -REPORT_EVERY_S
        self._task: asyncio.Task[None] | None = None
        self._taker: asyncio.Task[None] | None = None
        self._newest: RawSnapshot | None = None
        self._came = asyncio.Event()
        self._complaint = ""
        self._forced: dict[tuple[str, str], str] = {}
        self.revision = 0
        self.dropped = 0

    @property
    def connected(self) -> bool:
        """Whether the agent is there."""
        return self._line is not None

    def start(self) -> bool:
        """Take the snapshot of the file, and connect from then on; whether there is one."""
        try:
            found = snapshots.read_raw(self._file_path)
        except (OSError, ValueError) as error:
            self._complain(f"cannot use {self._file_path}: {error}; waiting for the agent")
            found = None
        self._task = self._tasks.start("policy link", self._run(found))
        return found is not None

    def changed(self) -> None:
        """Something is to be reported: it will be, within a second."""
        if self._timer is not None or self._line is None:
            return
        due_s = max(self._loop.time() + REPORT_SOON_S, self._reported_s + REPORT_EVERY_S)
        self._timer = self._loop.call_at(due_s, self._begin_report)

    def transition(
        self, upstream: str, endpoint: str, old: str, new: str, reason: str, *, forced: bool = False
    ) -> None:
        """Tell at once that a breaker changed; lost when the agent is away (the next report has the state)."""
        self._send(Transition(upstream, endpoint, old, new, reason, forced))
        self.changed()

    def close(self) -> None:
        """Hang up."""
        for task in (self._task, self._taker):
            if task is not None:
                task.cancel()
        self._task = self._taker = self._newest = None
        if self._line is not None:
            self._line.abort()
            self._line = None
        self._cancel_timer()

    # The line.

    async def _run(self, found: RawSnapshot | None) -> None:
        if found is not None:
            # First, for the agent is told by what we go.
            await self._take(found)
        self._taker = self._tasks.start("policy", self._take_newest())
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                _, line = await self._loop.create_unix_connection(
                    lambda: _Line(self._received, self.changed), self._path
                )
            except OSError:
                # Away: it is being replaced, or has not bound its socket yet.
                pass
            else:
                self._line = line
                self._send(Hello(self._worker, os.getpid(), __version__, self.revision))
                self.changed()
                try:
                    await line.ended
                finally:
                    self._line = None
                    self._cancel_timer()
                if line.useful:
                    pause_s = FIRST_PAUSE_S
                if line.complaint:
                    self._complain(line.complaint)
            await asyncio.sleep(pause_s * random.uniform(0.75, 1.25))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _received(self, data: bytes) -> None:
        message = to_worker(data)
        if message is None:
            return  # of a later version
        self._newest = message.snapshot
        self._came.set()

    async def _take_newest(self) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            snapshot, self._newest = self._newest, None
            if snapshot is not None:
                await self._take(snapshot)

    async def _take(self, snapshot: RawSnapshot) -> None:
        if snapshot.v != snapshots.VERSION:
            reason: str | None = (
                f"cannot read version {snapshot.v} of the snapshot, only {snapshots.VERSION}"
            )
        else:
            reason = await self._on_snapshot(snapshot)
        if reason is None:
            self.revision = snapshot.revision
            self._complaint = ""
            if self._steer(in_force(snapshot.forced, snapshots.steered(snapshot))):
                await self._send_report()  # who did it by hand looks at once
            self._send(Applied(snapshot.revision))
            self.changed()
        else:
            self._complain(f"cannot apply revision {snapshot.revision} of the policy: {reason}")
            self._send(Refused(snapshot.revision, reason))

    def _steer(self, wanted: dict[tuple[str, str], str]) -> bool:
        """Do to each breaker what is wanted of it now and was not before; whether there was any."""
        if wanted == self._forced:
            return False
        before, self._forced = self._forced, wanted
        for (upstream, endpoint), action in wanted.items():
            if before.get((upstream, endpoint)) != action:
                self._on_breaker(upstream, endpoint, action)
        for upstream, endpoint in before.keys() - wanted.keys():
            self._on_breaker(upstream, endpoint, AUTO)
        return True

    def _begin_report(self) -> None:
        self._timer = None
        self._tasks.start("report", self._send_report(), may_end=True)

    async def _send_report(self) -> None:
        self._cancel_timer()
        self._reported_s = self._loop.time()
        line = self._line
        if line is None:
            return
        writing = self._report()
        while True:
            try:
                next(writing)
            except StopIteration as end:
                if self._line is line:
                    self._put(end.value)
                return
            except WireError as error:
                self._leave_out(str(error))
                return
            await asyncio.sleep(0)

    def _send(self, message: ToAgent) -> None:
        try:
            self._put(encode(message))
        except WireError as error:
            self._leave_out(str(error))

    def _put(self, frame: bytes) -> None:
        line = self._line
        if line is None:
            return
        if line.unsent_bytes > MOST_UNSENT_BYTES:
            self.dropped += 1
        else:
            line.send(frame)

    def _leave_out(self, why: str) -> None:
        self.dropped += 1
        self._complain(why)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _complain(self, what: str) -> None:
        """Say it once, not with every attempt."""
        if what != self._complaint:
            self._complaint = what
            sys.stderr.write(f"pillion-{self._worker}: {what}\n")


class _Line(asyncio.Protocol):
    """One connection to the agent; `ended` is done when it is gone, `complaint` why, when that was the other side's fault."""

    def __init__(self, received: Callable[[bytes], None], room: Callable[[], None]) -> None:
        self._received = received
        self._room = room
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.useful = False
        self.complaint = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._frames.feed(data):
                self._received(message)
                self.useful = True
        except WireError as error:
            self.complaint = str(error)
            self.abort()

    def resume_writing(self) -> None:
        self._room()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        if not self.ended.done():
            self.ended.set_result(None)

    @property
    def unsent_bytes(self) -> int:
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
