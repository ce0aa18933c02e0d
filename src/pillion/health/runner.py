"""Carries out what the board decides: one timer for all checks, and an attempt's task only while it is under way."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from pillion.errors import PillionError
from pillion.health.active_clock import ActiveClock
from pillion.health.result import Result, Verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pillion.base.tasks import RootTasks
    from pillion.health.board import Board, Change, Run
    from pillion.health.check import Check


class Runner:
    """Runs the checks of `board` with `attempt`, and hands on what changes. Without checks there is no timer."""

    def __init__(
        self,
        board: Board,
        attempt: Callable[[Check], Awaitable[Result]],
        tasks: RootTasks,
        on_changes: Callable[[list[Change]], None],
    ) -> None:
        self._board = board
        self._attempt = attempt
        self._tasks = tasks
        self._on_changes = on_changes
        self._loop = asyncio.get_running_loop()
        self._clock = ActiveClock()
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None

    def now(self) -> float:
        """The board's time: seconds in which we ran."""
        return self._clock.at(time.monotonic())

    @property
    def paused_s(self) -> float:
        """How long we did not run, as far as it showed."""
        return self._clock.paused_s

    def kick(self) -> None:
        """Something has changed on the board: start what is due, and set the timer for what comes."""
        runs, changes = self._board.due(self.now())
        for run in runs:
            self._start(run)
        if changes:
            self._on_changes(changes)
        self._arm()

    def close(self) -> None:
        """Set no timer any more; attempts under way belong to their task group."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._due = None

    def _arm(self) -> None:
        due = self._board.wake_at()
        if due == self._due:
            return
        self.close()
        if due is not None:
            self._due = due
            self._timer = self._loop.call_at(self._clock.monotonic(due), self._fired)

    def _fired(self) -> None:
        assert self._due is not None
        self._clock.fired(self._due, time.monotonic())
        self._timer = self._due = None
        self.kick()

    def _start(self, run: Run) -> None:
        name = f"check {run.check.name}"
        try:
            task = self._tasks.start(name, self._one(run), may_end=True)
        except PillionError as error:
            self._board.finished(run.token, Result(Verdict.FAIL, str(error)), self.now())
            return
        task.add_done_callback(lambda ended: self._ended(run, ended))

    async def _one(self, run: Run) -> Result:
        return await self._attempt(run.check)

    def _ended(self, run: Run, task: asyncio.Task[Result]) -> None:
        if task.cancelled():
            return  # this process ends
        error = task.exception()
        if error is None:
            result = task.result()
        else:
            # A bug: the task group tells of it, and the check goes on instead of falling silent.
            result = Result(Verdict.FAIL, f"cannot make an attempt: {type(error).__name__}")
        changes = self._board.finished(run.token, result, self.now())
        if changes:
            self._on_changes(changes)
        self.kick()
