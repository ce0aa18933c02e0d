"""The facade with a memory on disk, and checks that are told: no sockets, no waiting."""

from __future__ import annotations

import asyncio
import functools
import os
from typing import TYPE_CHECKING, ParamSpec

import pytest

from pillion.base.tasks import RootTasks, TaskEnd
from pillion.errors import RefusedError
from pillion.health.app import AppFacts
from pillion.health.health import Health
from pillion.health.memory import CHECKS_FILE, STATES_FILE, Files
from pillion.health.outlet import Outlet
from pillion.health.result import Verdict
from pillion.settings import parse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

P = ParamSpec("P")

FIRST = AppFacts("1 t", runs=True, reasons=())
SECOND = AppFacts("2 t", runs=True, reasons=())
GONE = AppFacts("", runs=False, reasons=("the app is backoff",))
BEATS = '[health.checks.beat]\nttl = "1h"\n'
TTL: dict[str, object] = {"ttl": "1h"}


class Agent:
    """One agent's health; `ends` it as a SIGKILL would."""

    def __init__(self, directory: Path, settings: str = BEATS, run: str = "r1") -> None:
        self.failed: list[TaskEnd] = []
        self.tasks = RootTasks(self.failed.append)
        self.journal: list[tuple[str, str]] = []
        self.restarts = 0
        self.told: list[str] = []
        self.health = Health(
            self.tasks,
            Outlet(lambda kind, reason, data: self.journal.append((kind, reason))),
            self._restart,
            Files(str(directory), str(directory)),
            run,
        )
        self.health.settings(parse(settings))
        self.health.on_change(self.told.append)

    async def _restart(self) -> None:
        self.restarts += 1

    async def settled(self) -> None:
        """Until nothing is under way; what waits for a timer of no seconds has its turn first."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        while len(self.tasks):  # noqa: ASYNC110 # tasks of the group, which has no event for it
            await asyncio.sleep(0)
        assert self.failed == []

    def started(self, app: AppFacts = FIRST) -> Health:
        self.health.enable()
        self.health.app(app)
        return self.health


def in_loop(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def main() -> None:
            await test(*args, **kwargs)

        asyncio.run(main())

    return run


@in_loop
async def test_status_and_reasons(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    health = agent.health
    assert health.status == "critical"
    agent.started()
    assert health.report().reasons == ["check beat is critical: not checked yet"]
    health.tell("beat", Verdict.PASS, "all well")
    assert health.status == "passing"
    health.tell("beat", Verdict.WARN, "")
    health.tell("beat", Verdict.FAIL, "the disk is full\nsecond line")
    report = health.report()
    assert (report.status, report.reasons) == (
        "critical",
        ["check beat is critical: the disk is full"],
    )
    assert agent.told == ["passing", "warning", "critical"]
    assert [kind for kind, _ in agent.journal] == ["healthy", "healthy", "unhealthy"]
    await agent.settled()


@in_loop
async def test_an_app_that_does_not_run_is_critical_whatever_its_checks_said(
    tmp_path: Path,
) -> None:
    agent = Agent(tmp_path)
    health = agent.started()
    health.tell("beat", Verdict.PASS, "")
    health.app(GONE)
    assert health.status == "critical"
    assert health.report().reasons == ["the app is backoff"]
    assert health.report(("liveness",)).status == "passing"
    await agent.settled()


@in_loop
async def test_a_killed_agents_successor_goes_on_from_the_last_known(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    agent.started().tell("beat", Verdict.PASS, "all well")
    await agent.settled()
    successor = Agent(tmp_path)
    assert successor.health.status == "critical"
    successor.health.enable()
    # Before the keeper has spoken, and after.
    assert successor.health.status == "passing"
    successor.health.app(FIRST)
    assert successor.health.status == "passing"
    assert "critical" not in successor.told
    assert successor.journal == []
    (check,) = successor.health.report().checks
    assert check.output == "all well"
    await successor.settled()


@pytest.mark.parametrize(("run", "app"), [("r1", SECOND), ("r2", FIRST)])
@in_loop
async def test_what_is_known_of_another_process_or_run_is_not_taken(
    tmp_path: Path, run: str, app: AppFacts
) -> None:
    agent = Agent(tmp_path)
    agent.started().tell("beat", Verdict.PASS, "")
    await agent.settled()
    successor = Agent(tmp_path, run=run)
    assert successor.started(app).status == "critical"
    await successor.settled()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"v": 2}', b"\xff" * 100])
@in_loop
async def test_a_damaged_memory_is_no_memory(tmp_path: Path, damage: bytes) -> None:
    for name in (STATES_FILE, CHECKS_FILE):
        (tmp_path / name).write_bytes(damage)
    agent = Agent(tmp_path)
    agent.started().tell("beat", Verdict.PASS, "")
    assert agent.health.status == "passing"
    await agent.settled()


@in_loop
async def test_a_memory_that_cannot_be_written_is_counted(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    agent = Agent(tmp_path / "gone")
    health = agent.started()
    await agent.settled()
    for name in os.listdir(tmp_path / "gone"):
        os.unlink(tmp_path / "gone" / name)
    (tmp_path / "gone").rmdir()
    health.tell("beat", Verdict.PASS, "")
    await agent.settled()
    assert health.stats()["health_write_errors_total"] == 1
    assert health.status == "passing"


@in_loop
async def test_registered_checks_live_as_long_as_the_process(tmp_path: Path) -> None:
    agent = Agent(tmp_path, "")
    health = agent.started()
    assert await health.register("mine", TTL, persistent=False, operator=False)
    assert await health.register("kept", TTL, persistent=True, operator=False)
    assert not await health.register("kept", TTL, persistent=True, operator=False)
    await agent.settled()
    names = [one.name for one in health.report().checks]
    assert names == ["kept", "mine"]

    killed = Agent(tmp_path, "")
    assert [one.name for one in killed.started().report().checks] == ["kept", "mine"]
    killed.health.app(GONE)
    killed.health.app(SECOND)
    assert [one.name for one in killed.health.report().checks] == ["kept"]
    await killed.settled()

    next_run = Agent(tmp_path, "", run="r2")
    assert [one.name for one in next_run.started().report().checks] == ["kept"]
    await next_run.health.unregister("kept", operator=False)
    assert not (tmp_path / CHECKS_FILE).exists()
    await next_run.settled()


@in_loop
async def test_registered_before_the_apps_start_is_meant_for_it(tmp_path: Path) -> None:
    agent = Agent(tmp_path, "")
    agent.health.enable()
    agent.health.app(GONE)
    await agent.health.register("mine", TTL, persistent=False, operator=True)
    agent.health.app(FIRST)
    assert [one.name for one in agent.health.report().checks] == ["mine"]
    await agent.settled()


async def refused(status: int, work: Awaitable[object]) -> str:
    with pytest.raises(RefusedError) as caught:
        await work
    assert caught.value.status == status
    assert caught.value.detail.startswith("cannot ")
    return caught.value.detail


@in_loop
async def test_who_may_register_what(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    health = agent.health
    run: dict[str, object] = {"exec": ["true"]}

    def put(name: str, body: dict[str, object], *, operator: bool = False) -> Awaitable[bool]:
        return health.register(name, body, persistent=False, operator=operator)

    await refused(503, put("mine", TTL))
    health.enable()
    await refused(403, put("mine", run))
    assert await put("mine", run, operator=True)
    await refused(403, put("mine", TTL))
    await refused(403, health.unregister("mine", operator=False))
    await health.unregister("mine", operator=True)
    await refused(404, health.unregister("mine", operator=True))
    await refused(409, put("beat", TTL))
    await refused(409, health.unregister("beat", operator=True))
    for name in ("", ".", "a/b", "a" * 65, "ü"):
        await refused(422, put(name, TTL))
    health.disable()
    await refused(503, put("mine", TTL))
    await refused(503, health.unregister("mine", operator=True))
    await agent.settled()


@in_loop
async def test_there_are_so_many_and_no_more(tmp_path: Path) -> None:
    agent = Agent(tmp_path, "")
    health = agent.started()
    for number in range(256):
        await health.register(f"c{number}", TTL, persistent=False, operator=False)
    detail = await refused(409, health.register("more", TTL, persistent=False, operator=False))
    assert "256" in detail
    assert not await health.register("c0", {"ttl": "2h"}, persistent=False, operator=False)
    await agent.settled()


@in_loop
async def test_a_reload_leaves_what_is_the_same_alone(tmp_path: Path) -> None:
    agent = Agent(tmp_path, BEATS + '[health.checks.old]\nttl = "1h"\n')
    health = agent.started()
    health.tell("beat", Verdict.PASS, "all well")
    health.tell("old", Verdict.FAIL, "")
    assert health.status == "critical"
    await health.register("new", TTL, persistent=False, operator=False)
    health.tell("new", Verdict.FAIL, "")
    agent.told.clear()
    health.settings(parse(BEATS + '[health.checks.new]\nttl = "2h"\n'))
    checks = {one.name: one for one in health.report().checks}
    assert set(checks) == {"beat", "new"}
    assert checks["beat"].output == "all well"
    assert not checks["new"].registered
    health.settings(parse(BEATS + '[health.checks.late]\nttl = "2h"\n'))
    assert health.status == "passing"
    health.tell("late", Verdict.FAIL, "")
    assert health.status == "critical"
    await agent.settled()


@pytest.mark.parametrize(("name", "status"), [("nobody", 404), ("db", 409)])
@in_loop
async def test_only_what_can_be_told_is(tmp_path: Path, name: str, status: int) -> None:
    agent = Agent(tmp_path, '[health.checks.db]\nprocess = "app"\n')
    health = agent.started()
    with pytest.raises(RefusedError) as caught:
        health.tell(name, Verdict.PASS, "")
    assert caught.value.status == status
    await agent.settled()


LIVE = '[app.restart]\nlimit = 1\n[health.checks.live]\nttl = "1h"\nkind = "liveness"\nrestart = true\n'


@in_loop
async def test_a_failed_liveness_check_restarts_the_app_so_often_and_no_more(
    tmp_path: Path,
) -> None:
    agent = Agent(tmp_path, LIVE)
    health = agent.started()
    health.tell("live", Verdict.FAIL, "stuck")
    await agent.settled()
    assert agent.restarts == 1
    assert agent.journal[-1] == ("restarting", "liveness check live is critical: restart 1 now")
    health.app(GONE)
    health.app(SECOND)
    assert health.status == "passing"
    health.tell("live", Verdict.FAIL, "stuck again")
    assert agent.journal[-1][0] == "failed"
    await agent.settled()
    assert agent.restarts == 1
    # Another agent counts on.
    successor = Agent(tmp_path, LIVE)
    third = AppFacts("3 t", runs=True, reasons=())
    successor.started(third).tell("live", Verdict.FAIL, "")
    await successor.settled()
    assert successor.restarts == 0


@in_loop
async def test_a_failure_while_another_agent_is_in_charge_is_not_ours_to_hear(
    tmp_path: Path,
) -> None:
    agent = Agent(tmp_path, LIVE)
    health = agent.started()
    await agent.settled()
    health.disable()
    with pytest.raises(RefusedError) as caught:
        health.tell("live", Verdict.FAIL, "")
    assert caught.value.status == 503
    assert health.status == "passing"


@in_loop
async def test_metrics_are_bounded(tmp_path: Path) -> None:
    many = "".join(f'[health.checks.c{n}]\nttl = "1h"\n' for n in range(200))
    agent = Agent(tmp_path, many)
    stats = agent.started().stats()
    listed = stats["health_check_status"]
    assert isinstance(listed, dict)
    assert len(listed["check"]) == 50
    assert stats["health_checks"] == {"status": {"passing": 0.0, "warning": 0.0, "critical": 200.0}}
    await agent.settled()


@in_loop
async def test_reasons_are_bounded(tmp_path: Path) -> None:
    many = "".join(f'[health.checks.c{n}]\nttl = "1h"\n' for n in range(200))
    agent = Agent(tmp_path, many)
    reasons = agent.started().report().reasons
    assert len(reasons) == 21
    assert reasons[-1] == "180 checks more"
    await agent.settled()
