"""Cores in use, from two looks."""

from __future__ import annotations

from pillion.cli.top import busy_cores
from pillion.model.component import Component, KeeperFacts, Status, Usage


def look(pid: int, cpu_s: float | None) -> Status:
    app = Component(name="app", state="running", pid=pid, usage=Usage(cpu_s=cpu_s))
    return Status(instance="i", run="r", keeper=KeeperFacts(pid=1), components=[app])


def test_cores_are_seconds_per_second() -> None:
    assert busy_cores((10.0, look(1, 5.0)), (12.0, look(1, 8.0))) == {"app": 1.5}


def test_the_first_look_and_a_new_process_tell_nothing() -> None:
    assert busy_cores(None, (12.0, look(1, 8.0))) == {}
    assert busy_cores((10.0, look(1, 5.0)), (12.0, look(2, 0.1))) == {}
    assert busy_cores((10.0, look(1, None)), (12.0, look(1, 8.0))) == {}
