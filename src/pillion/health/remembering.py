"""Between the board and its memory: what is written when something changes, and what a new agent begins with."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from pillion.errors import PillionError
from pillion.health.check import STATUSES
from pillion.health.memory import Memory, Remembered
from pillion.health.thresholds import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pillion.base.tasks import RootTasks
    from pillion.health.board import Board
    from pillion.health.memory import Files, Registered


def memory_of(
    board: Board, *, run: str, app: str, restarts: int, registered: Mapping[str, Registered]
) -> Memory:
    """What is known now."""
    states = {
        name: Remembered(
            status=entry.state.status,
            decided=entry.state.decided,
            since=entry.since,
            output=entry.state.output,
            checked=entry.checked,
            falls=entry.state.falls,
            grace_until=entry.state.grace_until,
            good_from=entry.state.good_from,
            good_until=entry.state.good_until,
        )
        for name, entry in board.entries.items()
    }
    return Memory(
        run=run,
        app=app,
        started=board.started,
        restarts=restarts,
        states=states,
        registered=dict(registered),
    )


def restore(board: Board, memory: Memory) -> None:
    """Put what is remembered on the board; what has no check any more, or no sense, is left out."""
    board.started = memory.started
    for name, known in memory.states.items():
        entry = board.entries.get(name)
        if entry is None or known.status not in STATUSES:
            continue
        entry.since, entry.checked = known.since, known.checked
        entry.state = State(
            known.status,
            decided=known.decided,
            falls=known.falls,
            output=known.output,
            grace_until=known.grace_until,
            good_from=known.good_from,
            good_until=known.good_until,
        )
        if known.decided:
            entry.early = None


class Rememberer:
    """Writes `look()` after it has changed, one write at a time: whatever comes meanwhile is in the next one."""

    def __init__(self, files: Files, tasks: RootTasks, look: Callable[[], Memory | None]) -> None:
        self.errors = 0
        self._files = files
        self._tasks = tasks
        self._look = look
        self._changed = False
        self._writing = False

    def remember(self) -> None:
        """Something has changed."""
        self._changed = True
        if self._writing:
            return
        try:
            self._tasks.start("remember health", self._write(), may_end=True)
        except PillionError:
            self.errors += 1
        else:
            self._writing = True

    async def _write(self) -> None:
        try:
            while self._changed:
                self._changed = False
                memory = self._look()
                if memory is not None:
                    await asyncio.to_thread(self._files.save_states, memory)
        except OSError as error:
            # A new agent will find health out again; until then the app counts as it was before.
            self.errors += 1
            sys.stderr.write(f"pillion-agent: cannot remember health: {error}\n")
        finally:
            self._writing = False
