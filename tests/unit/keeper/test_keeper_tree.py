"""Whole trees are found and ended, double-forked grandchildren in a session of their own included; and processes that are not ours are adopted."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from pillion.keeper import attach, posix, sampling, tree
from pillion.keeper.attach import Adopted
from pillion.keeper.cgroups import Group
from pillion.keeper.launch import Failure
from pillion.keeper.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BOUND_S = 40.0
NOWHERE = Group(None, {}, v2_controls=False)
# Says its grandchild's pid, which lives on in a session of its own with nobody but init above it.
DAEMON = (
    "import os, sys, time\n"
    "r, w = os.pipe()\n"
    "if os.fork():\n"
    "    os.read(r, 1); sys.exit(0)\n"
    "os.setsid()\n"
    "if os.fork():\n"
    "    os._exit(0)\n"
    "print(os.getpid(), flush=True)\n"
    "os.write(w, b'x')\n"
    "os.close(1)\n"
    "time.sleep(600)\n"
)


def eventually(condition: Callable[[], object], why: str) -> None:
    deadline_s = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline_s, why
        select.select([], [], [], 0.005)


@pytest.fixture
def run() -> str:
    return f"20260101T000000-{os.urandom(3).hex()}"


@pytest.fixture
def daemon(run: str) -> Iterator[int]:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", DAEMON],
        env={**os.environ, tree.MARK: run},
        stdout=subprocess.PIPE,
        check=True,
    )
    pid = int(done.stdout)
    pidfd = os.pidfd_open(pid)
    yield pid
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)


@pytest.fixture
def child() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(code: str = "import time; time.sleep(600)", **env: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", f"print(flush=True)\n{code}"],
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(BOUND_S)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()


def test_a_grandchild_in_a_session_of_its_own_is_found_by_its_mark(run: str, daemon: int) -> None:
    assert tree.marked_pids(run) == [daemon]


def test_a_mark_of_another_run_is_not_ours(run: str, daemon: int) -> None:
    assert tree.marked_pids(run[:-1]) == []
    assert tree.marked_pids(f"{run}0") == []


def test_sidecar_and_app_are_told_apart(
    run: str, child: Callable[..., subprocess.Popen[bytes]]
) -> None:
    sidecar = child(**{tree.MARK: run, tree.ROLE_MARK: "{}"})
    app = child(**{tree.MARK: run})
    assert tree.marked_pids(run) == [app.pid]
    assert tree.marked_pids(run, sidecar=True) == [sidecar.pid]


def test_a_tree_without_a_group_is_killed_until_it_is_gone(run: str, daemon: int) -> None:
    assert tree.kill_until_gone(NOWHERE, run, BOUND_S)
    eventually(lambda: posix.start_ticks(daemon) is None or _is_zombie(daemon), "it lives")
    assert tree.marked_pids(run) == []


def _is_zombie(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"


def test_an_empty_tree_is_gone_at_once(run: str) -> None:
    assert tree.kill_until_gone(NOWHERE, run, 0.0)


def test_signals_reach_all_that_are_there(child: Callable[..., subprocess.Popen[bytes]]) -> None:
    one, gone = child(), child()
    gone.kill()
    gone.wait(BOUND_S)
    tree.signal_all([gone.pid, one.pid], signal.SIGTERM)
    assert one.wait(BOUND_S) == -signal.SIGTERM


def test_resident_memory_of_a_tree_leaves_shared_file_pages_out(
    child: Callable[..., subprocess.Popen[bytes]],
) -> None:
    small = child()
    large = child("x = b'x' * (32 << 20)\nprint(flush=True)\nimport time; time.sleep(600)")
    assert large.stdout is not None
    large.stdout.readline()
    difference = sampling.resident_bytes([large.pid]) - sampling.resident_bytes([small.pid])
    assert (32 << 20) <= difference < (40 << 20)
    both = sampling.resident_bytes([small.pid, large.pid, 2**22 - 1])
    assert both >= sampling.resident_bytes([large.pid])


def test_a_start_time_is_read_whatever_the_process_calls_itself(
    child: Callable[..., subprocess.Popen[bytes]],
) -> None:
    odd = child(
        "open('/proc/self/comm', 'w').write('a) R 1 (b')\nprint(flush=True)\nimport time; time.sleep(600)"
    )
    assert odd.stdout is not None
    before = posix.start_ticks(odd.pid)
    odd.stdout.readline()
    assert posix.start_ticks(odd.pid) == before
    assert before is not None


def test_what_is_gone_has_no_start_time() -> None:
    assert posix.start_ticks(2**22 - 1) is None


def test_descendants_are_told_parents_first() -> None:
    shell = subprocess.Popen(
        ["sh", "-c", "sh -c 'sleep 600 & wait' & wait"], start_new_session=True
    )
    try:
        eventually(lambda: len(posix.descendants_of(shell.pid)) == 2, "no grandchild")
        inner, sleep = posix.descendants_of(shell.pid)
        assert posix.children_of(inner) == [sleep]
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait(BOUND_S)


def test_descendants_of_what_is_gone_are_none() -> None:
    assert posix.descendants_of(2**22 - 1) == []


def test_a_process_that_is_not_there_cannot_be_attached_to() -> None:
    with pytest.raises(Failure, match="cannot attach to pid 4194303: no such process") as caught:
        Adopted.open(2**22 - 1)
    assert caught.value.code == 1


def test_we_do_not_attach_to_ourselves() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(Failure, match="ourselves"):
        Adopted.open(os.getpid())
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_adopted_process_is_known_by_pid_and_start_time(
    child: Callable[..., subprocess.Popen[bytes]],
) -> None:
    process = child()
    adopted = Adopted.open(process.pid)
    assert adopted.ticks == posix.start_ticks(process.pid)
    assert not os.get_inheritable(adopted.pidfd)
    assert adopted.exit_code() is None
    os.close(adopted.pidfd)


def kernel() -> tuple[int, ...]:
    return tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise SystemExit(3)", 3),
        ("raise SystemExit(0)", 0),
        ("import os; os.kill(os.getpid(), 9)", -9),
    ],
)
def test_the_end_of_an_adopted_process_is_told_with_its_code(
    child: Callable[..., subprocess.Popen[bytes]], code: str, expected: int, signals_restored: None
) -> None:
    process = child(f"open(0).readline()\n{code}")
    adopted = Adopted.open(process.pid)
    failed: list[Exception] = []
    ended: list[int | None] = []
    loop = Loop(failed.append)
    adopted.watch(loop, ended.append)
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    process.wait(BOUND_S)
    deadline_s = time.monotonic() + BOUND_S
    while not ended:
        assert time.monotonic() < deadline_s
        loop.turn()
    loop.close()
    assert failed == []
    # The kernel tells since 6.15; before, nobody can.
    assert ended == [expected if kernel() >= (6, 15) else None]


def test_a_command_line_is_told_in_words(child: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = child()
    assert attach.command_line(process.pid)[:3] == [sys.executable, "-I", "-S"]


def test_a_process_without_arguments_is_told_by_its_name() -> None:
    # A kernel thread, or in a container without any: nobody.
    assert attach.command_line(2**22 - 1) == ["pid-4194303"]
