"""One owner for every task of a process, so that none ends in silence and none outlives its process.

`asyncio.TaskGroup` ends all of its tasks when one fails; a sidecar rather goes on with the rest and
says what happened. Here every task has a name, an unexpected end is handed to a callback at once, and
the end of the group is bounded.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pillion.errors import PillionError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class TaskEnd(msgspec.Struct, frozen=True):
    """A task that ended when it should not: by `error`, or by returning (`error` is None)."""

    name: str
    error: BaseException | None

    def __str__(self) -> str:
        """One line for the journal."""
        if self.error is None:
            return f"task {self.name} returned although it should run until the end"
        return f"task {self.name} failed: {type(self.error).__name__}: {self.error}"


class RootTasks:
    """The root task group of a process; create it inside the running loop.

    `on_unexpected_end` is called from the loop with a `TaskEnd`; it must not raise. `limit` bounds the
    tasks alive at once.
    """

    def __init__(
        self, on_unexpected_end: Callable[[TaskEnd], None], *, limit: int = 20_000
    ) -> None:
        self._on_unexpected_end = on_unexpected_end
        self._limit = limit
        self._alive: dict[asyncio.Task[Any], bool] = {}
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self.unexpected_ends = 0

    def start(
        self, name: str, coroutine: Coroutine[Any, Any, T], *, may_end: bool = False
    ) -> asyncio.Task[T]:
        """Run `coroutine` as the task `name` and return it.

        Without `may_end` it is a service: any end but a cancellation is unexpected. With it only an
        exception is. `PillionError` when the group is closing or full; the coroutine is then closed.
        """
        if self._closing or len(self._alive) >= self._limit:
            coroutine.close()
            why = "this process is ending" if self._closing else f"{self._limit} tasks run already"
            raise PillionError(f"cannot start the task {name}: {why}; try again later")
        task = self._loop.create_task(coroutine, name=name)
        self._alive[task] = may_end
        task.add_done_callback(self._ended)
        return task

    def __len__(self) -> int:
        """How many tasks are alive."""
        return len(self._alive)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tasks alive, oldest first."""
        return tuple(task.get_name() for task in self._alive)

    async def close(self, within_s: float) -> tuple[str, ...]:
        """Cancel every task and wait at most `within_s` seconds; return the names of those that stayed.

        May be called from one of the tasks, which is then left alone. No task can be started afterwards.
        """
        self._closing = True
        current = asyncio.current_task()
        rest = [task for task in self._alive if task is not current]
        for task in rest:
            task.cancel()
        if not rest:
            return ()
        _, stayed = await asyncio.wait(rest, timeout=within_s)
        return tuple(task.get_name() for task in stayed)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        may_end = self._alive.pop(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None and (may_end or self._closing):
            return
        self.unexpected_ends += 1
        self._on_unexpected_end(TaskEnd(task.get_name(), error))
