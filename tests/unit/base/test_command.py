"""A command of the user's ends within its bound, whatever it does."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from instance import wait_for
from pillion.base.command import KEPT_BYTES, Ended, run_command
from pillion.model.place import VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

BOUND_S = 40.0


def run(*command: str, timeout_s: float = BOUND_S) -> Ended:
    return asyncio.run(run_command(command, timeout_s))


def test_what_it_says_is_kept() -> None:
    assert run("sh", "-c", "echo hello; echo again >&2") == Ended("sh", "", "hello\nagain")


@pytest.mark.parametrize(
    ("command", "failure"),
    [
        (("sh", "-c", "exit 3"), "sh ended with code 3"),
        (("sh", "-c", "kill -9 $$"), "sh ended with signal KILL"),
        (("/nonexistent/x",), "cannot run /nonexistent/x: No such file or directory"),
    ],
)
def test_how_it_failed(command: tuple[str, ...], failure: str) -> None:
    assert run(*command).failure == failure


def test_it_is_looked_for_by_the_path_that_is_given_which_it_gets(tmp_path: Path) -> None:
    program = tmp_path / "found"
    program.write_text('#!/bin/sh\necho "$PATH"\n')
    program.chmod(0o755)
    path = f"{tmp_path}:/bin"
    ended = asyncio.run(run_command(["found"], BOUND_S, path=path))
    assert ended == Ended("found", "", path)


def test_one_that_hangs_is_killed_with_what_it_has_started() -> None:
    ended = run("sh", "-c", "sleep 1000 & echo $!; wait", timeout_s=0.3)
    assert ended.failure == "sh was killed: it did not end within 0.3 s"
    wait_for("what it had started is gone", lambda: not _lives(ended.output))


def _lives(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            # A zombie is for whoever adopts orphans here to reap.
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_flood_is_cut_and_does_not_block_it() -> None:
    ended = run("sh", "-c", "yes | head -c 300000")
    assert ended.failure == ""
    assert len(ended.output) <= KEPT_BYTES


def test_its_words_cannot_steer_a_terminal() -> None:
    assert run("printf", r"a\033[2Jb\377").output == "a�[2Jb�"


def test_it_does_not_take_itself_for_a_child_of_the_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "{}")
    assert run("sh", "-c", f'echo "[${{{VARIABLE}-none}}]"').output == "[none]"


def test_a_caller_that_is_cancelled_leaves_nothing_behind() -> None:
    async def cancelled() -> None:
        task = asyncio.ensure_future(run_command(("sleep", "1000"), BOUND_S))
        await asyncio.sleep(0)
        while not _children():  # noqa: ASYNC110 # nobody tells us of a child's birth
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not _children()

    asyncio.run(cancelled())


def _children() -> list[str]:
    with open(f"/proc/{os.getpid()}/task/{os.getpid()}/children") as file:
        return file.read().split()
