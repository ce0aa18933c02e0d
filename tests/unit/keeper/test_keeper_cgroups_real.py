"""Control groups of this very host: limits that hold, kills that are recognised, and nothing left behind."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import time
from typing import TYPE_CHECKING

import pytest

from pillion.keeper import instance, tree
from pillion.keeper.cgroups import Group, Groups, LimitRefused
from pillion.keeper.hierarchies import SAMPLING, detect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BOUND_S = 40.0
MIB = 1 << 20
GROUPS = detect()

pytestmark = pytest.mark.skipif(
    GROUPS.means == SAMPLING, reason="this host lets us make no control groups"
)


@pytest.fixture
def groups() -> Iterator[Groups]:
    one = Groups(GROUPS, f"pillion-test-{os.getpid()}-{os.urandom(3).hex()}")
    one.prepare()
    yield one
    one.remove()
    assert not [d for d in one.directories() if os.path.exists(d)], "a group stayed behind"


@pytest.fixture
def group(groups: Groups) -> Iterator[Group]:
    one = groups.create("app.1")
    yield one
    tree.kill_until_gone(one, "none", BOUND_S)
    reap()
    assert one.remove()


def reap() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


def within(group: Group, what: Callable[[], object]) -> int:
    """Do something in a child that is in the group."""
    pid = os.fork()
    if pid == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            for path in group.procs_files():
                fd = os.open(path, os.O_WRONLY)
                os.write(fd, b"0")
                os.close(fd)
            what()
        finally:
            os._exit(9)
    return pid


def sleeping(group: Group) -> int:
    read, write = os.pipe()

    def say_and_sleep() -> None:
        os.write(write, b"x")
        signal.pause()

    pid = within(group, say_and_sleep)
    os.read(read, 1)
    os.close(read)
    os.close(write)
    return pid


def eventually(condition: Callable[[], object], why: str) -> None:
    deadline_s = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline_s, why
        select.select([], [], [], 0.005)


def test_a_process_in_the_group_is_listed_and_counted(group: Group) -> None:
    pid = sleeping(group)
    assert group.pids() == [pid]
    assert group.tracked
    assert (group.memory() or 0) > 0
    assert group.cpu_s() is not None


def test_an_occupied_group_is_not_removed(group: Group) -> None:
    sleeping(group)
    assert not group.remove()
    assert group.pids()


def test_a_kill_reaches_forks_in_sessions_of_their_own(group: Group) -> None:
    def fork_on() -> None:
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
        signal.pause()

    within(group, fork_on)
    eventually(lambda: len(group.pids()) == 8, "not all have forked")
    assert tree.kill_until_gone(group, "none", BOUND_S)
    assert group.pids() == []


def test_too_much_memory_is_the_end_and_is_known_as_such(group: Group) -> None:
    group.apply({"memory": 24 * MIB})
    watch = group.watch_oom()
    pid = within(group, lambda: bytearray(b"x") * (64 * MIB))
    if watch is not None:
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        assert poll.poll(BOUND_S * 1000), "nobody told of the kill"
        os.close(watch)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert group.oom_kills() >= 1
    assert 16 * MIB < (group.memory_peak() or 0) <= 24 * MIB


def test_a_limit_is_raised_lowered_and_lifted_while_it_runs(group: Group) -> None:
    group.apply({"memory": 24 * MIB})
    group.apply({"memory": 512 * MIB})
    group.apply({"memory": 128 * MIB})
    read, write = os.pipe()

    def use() -> None:
        held = bytearray(b"x") * (64 * MIB)
        os.write(write, b"x")
        signal.pause()
        del held

    within(group, use)
    assert os.read(read, 1) == b"x"
    os.close(read)
    os.close(write)
    with pytest.raises(
        LimitRefused, match=r"cannot limit memory to 33554432 bytes: \d+ are in use"
    ):
        group.apply({"memory": 32 * MIB})
    group.apply({})
    assert group.pids(), "it lives"


def test_processes_are_limited(group: Group) -> None:
    group.apply({"processes": 3})

    def fork_on() -> None:
        made = 0
        try:
            for _ in range(10):
                if os.fork() == 0:
                    signal.pause()
                made += 1
        except BlockingIOError:
            os._exit(made)

    pid = within(group, fork_on)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2


def test_the_processor_is_limited(group: Group) -> None:
    group.apply({"cpu": 0.1})

    def burn() -> None:
        while time.monotonic() < until_s:
            pass
        os._exit(0)

    until_s = time.monotonic() + 0.5
    pid = within(group, burn)
    os.waitpid(pid, 0)
    assert (group.cpu_s() or 0) < 0.2


def test_what_a_killed_run_left_is_ended_and_its_groups_removed(
    groups: Groups, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pid = sleeping(groups.create("app.1"))
    run = "20260101T000000-123456"
    instance.write_atomically(
        f"{tmp_path}/instance.json",
        json.dumps({"run": run, "groups": groups.directories()}),
    )
    found = instance.empty_leftovers(str(tmp_path))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert found
    assert all(text.startswith("1 processes in ") for text in found)
    assert not any(os.path.exists(d) for d in groups.directories())
    assert not (tmp_path / "instance.json").exists()
    assert f"pillion: ended what run {run} had left" in capfd.readouterr().err
