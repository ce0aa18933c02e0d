"""Every task has an owner; an unexpected end is reported; the end is bounded."""

from __future__ import annotations

import asyncio

import pytest

from pillion.base.tasks import RootTasks, TaskEnd
from pillion.errors import PillionError


async def _forever() -> None:
    await asyncio.Event().wait()


async def _returns() -> int:
    return 7


async def _fails() -> None:
    raise ValueError("broken")


def test_a_service_that_returns_is_reported() -> None:
    async def scenario() -> list[TaskEnd]:
        ends: list[TaskEnd] = []
        tasks = RootTasks(ends.append)
        await tasks.start("watch", _returns())
        return ends

    ends = asyncio.run(scenario())
    assert [str(end) for end in ends] == [
        "task watch returned although it should run until the end"
    ]


def test_a_job_may_return_and_gives_its_result() -> None:
    async def scenario() -> tuple[int, list[TaskEnd], int]:
        ends: list[TaskEnd] = []
        tasks = RootTasks(ends.append)
        result = await tasks.start("job", _returns(), may_end=True)
        return result, ends, len(tasks)

    assert asyncio.run(scenario()) == (7, [], 0)


def test_a_failure_is_reported_and_the_others_go_on() -> None:
    async def scenario() -> tuple[list[TaskEnd], tuple[str, ...]]:
        ends: list[TaskEnd] = []
        tasks = RootTasks(ends.append)
        tasks.start("other", _forever())
        failing = tasks.start("job", _fails(), may_end=True)
        await asyncio.wait([failing])
        names = tasks.names
        await tasks.close(1.0)
        return ends, names

    ends, names = asyncio.run(scenario())
    assert [str(end) for end in ends] == ["task job failed: ValueError: broken"]
    assert names == ("other",)


def test_close_names_the_task_that_will_not_end() -> None:
    async def scenario() -> tuple[str, ...]:
        release = asyncio.Event()

        async def stubborn() -> None:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        tasks = RootTasks(lambda end: None)
        tasks.start("stubborn", stubborn())
        tasks.start("polite", _forever())
        await asyncio.sleep(0)
        stayed = await tasks.close(0.02)
        release.set()
        return stayed

    assert asyncio.run(scenario()) == ("stubborn",)


def test_nothing_starts_after_close_or_beyond_the_limit() -> None:
    async def scenario() -> None:
        tasks = RootTasks(lambda end: None, limit=1)
        tasks.start("first", _forever())
        with pytest.raises(PillionError, match="1 tasks run already"):
            tasks.start("second", _forever())
        await tasks.close(1.0)
        with pytest.raises(PillionError, match="this process is ending"):
            tasks.start("third", _forever())

    asyncio.run(scenario())
