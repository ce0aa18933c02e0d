"""The thin part: one timer, tasks only for what is under way, and no check falls silent for a bug."""

from __future__ import annotations

import asyncio

from pillion.base.tasks import RootTasks, TaskEnd
from pillion.health.board import Board, Change
from pillion.health.check import CRITICAL, LIVENESS, PASSING, Check, Tcp
from pillion.health.result import Result, Verdict
from pillion.health.runner import Runner

CHECK = Check(name="db", probe=Tcp("127.0.0.1", 1), kind=LIVENESS, interval_s=0.01, fall=2)


class World:
    """A board with its runner in a real loop; `attempts` counts."""

    def __init__(self) -> None:
        self.board = Board(lambda: 0.5, lambda: "now")
        self.ends: list[TaskEnd] = []
        self.tasks = RootTasks(self.ends.append)
        self.changes: list[Change] = []
        self.changed = asyncio.Event()
        self.attempts = 0
        self.runner = Runner(self.board, self.attempt, self.tasks, self._changed)

    async def attempt(self, check: Check) -> Result:
        self.attempts += 1
        return Result(Verdict.PASS)

    def _changed(self, changes: list[Change]) -> None:
        self.changes += changes
        self.changed.set()

    def begin(self, *checks: Check) -> None:
        for check in checks:
            self.board.put(check, self.runner.now())
        self.board.begin(self.runner.now())
        self.runner.kick()

    async def change(self) -> Change:
        async with asyncio.timeout(20):
            await self.changed.wait()
        self.changed.clear()
        return self.changes.pop()

    async def close(self) -> None:
        self.board.stop()
        self.runner.kick()
        await self.tasks.close(5)


def test_without_checks_there_is_neither_timer_nor_task() -> None:
    async def main() -> None:
        world = World()
        world.begin()
        assert world.runner._timer is None
        assert len(world.tasks) == 0
        world.begin(CHECK)
        assert (await world.change()).after == PASSING
        world.board.remove("db", world.runner.now())
        world.runner.kick()
        assert world.runner._timer is None
        await world.close()

    asyncio.run(main())


def test_again_at_its_interval() -> None:
    async def main() -> None:
        world = World()
        again = asyncio.Event()

        async def attempt(check: Check) -> Result:
            world.attempts += 1
            if world.attempts == 5:
                again.set()
            return Result(Verdict.PASS)

        world.runner = Runner(world.board, attempt, world.tasks, world._changed)
        world.begin(CHECK)
        async with asyncio.timeout(20):
            await again.wait()
        await world.close()

    asyncio.run(main())


def test_a_bug_in_a_probe_is_a_failure_that_is_told() -> None:
    async def main() -> None:
        world = World()

        async def broken(check: Check) -> Result:
            raise ZeroDivisionError

        world.runner = Runner(world.board, broken, world.tasks, world._changed)
        world.begin(CHECK)
        change = await world.change()
        assert (change.after, change.output) == (
            CRITICAL,
            "cannot make an attempt: ZeroDivisionError",
        )
        assert len(world.ends) >= 2
        await world.close()

    asyncio.run(main())


def test_a_closing_task_group_is_no_reason_to_fall_over() -> None:
    async def main() -> None:
        world = World()
        await world.tasks.close(1)
        world.begin(CHECK)
        assert world.board.under_way == 0
        world.board.stop()
        world.runner.kick()

    asyncio.run(main())
