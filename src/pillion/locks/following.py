"""Keeps the board as the store is, while anybody needs it: a snapshot, the watch after it, and again from the start where it breaks."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from pillion.locks.record import PREFIXES
from pillion.store.interface import CompactedError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.base.tasks import RootTasks
    from pillion.locks.board import Board
    from pillion.store.interface import Entry, Health, Store

# The engine says when it is back; an error without a change of its health (a busy file) is tried again by itself.
_AGAIN_S = 5.0


async def snapshot(store: Store) -> tuple[int, list[Entry]]:
    """Everything under our prefixes, and a revision as of which nothing of it is missing. Raises `StoreUnavailableError`."""
    entries: list[Entry] = []
    revision: int | None = None
    for prefix in PREFIXES:
        found = await store.range(prefix)
        # What the later range has seen beyond the earlier's revision, the watch tells once more.
        revision = found.revision if revision is None else min(revision, found.revision)
        entries += found.entries
    return revision or 0, entries


class Following:
    """Runs while somebody has `joined`. `changed` is called after each step with the subjects touched, None for all."""

    def __init__(
        self,
        store: Store,
        board: Board,
        tasks: RootTasks,
        changed: Callable[[set[str] | None], None],
    ) -> None:
        self._store = store
        self._board = board
        self._tasks = tasks
        self._changed = changed
        self._users = 0
        self._task: asyncio.Task[None] | None = None
        self._healthy = asyncio.Event()
        self.restarts = 0
        store.on_health(self._health)

    @property
    def runs(self) -> bool:
        """Whether the board is kept."""
        return self._task is not None

    def join(self) -> None:
        """Somebody needs the board from now on."""
        self._users += 1
        if self._task is None:
            self._task = self._tasks.start("follow locks", self._follow())

    def leave(self) -> None:
        """One needs it no more; nothing is followed for nobody."""
        self._users -= 1
        if not self._users:
            self.stop()

    def stop(self) -> None:
        """End it, whoever still needs it."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            self._board.forget()

    async def _follow(self) -> None:
        while True:
            try:
                revision, entries = await snapshot(self._store)
                self._board.reset(revision, entries)
                self._changed(None)
                await self._watch(revision)
            except CompactedError:
                self.restarts += 1
            except StoreUnavailableError:
                self.restarts += 1
                await self.until_healthy()

    async def _watch(self, revision: int) -> None:
        async with aclosing(self._store.watch(PREFIXES, revision)) as watch:
            async for step in watch:
                touched = self._board.apply(step.revision, step.changes)
                self._changed(touched)

    async def until_healthy(self) -> None:
        """Wait until the engine says that it works again, at most a few seconds: it does not tell of what passes by itself."""
        self._healthy.clear()
        try:
            await asyncio.wait_for(self._healthy.wait(), _AGAIN_S)
        except TimeoutError:
            return

    def _health(self, health: Health) -> None:
        if health.readable:
            self._healthy.set()
