"""Commands as checks that hang, fork, flood or cannot be run: each attempt ends, and takes with it what it began."""

from __future__ import annotations

import asyncio
import os
import select
import time
from typing import TYPE_CHECKING

import pytest
import uvloop
from msgspec.structs import replace

from pillion.health.check import Exec
from pillion.health.probes import exec as exec_probe
from pillion.health.result import OUTPUT_BYTES, Result, Verdict

if TYPE_CHECKING:
    from pathlib import Path


def run(*command: str, timeout_s: float = 5.0) -> Result:
    began_s = time.monotonic()
    result = uvloop.run(exec_probe.run(Exec(command), timeout_s))
    return replace(result, duration_s=time.monotonic() - began_s)


def sh(script: str, timeout_s: float = 5.0) -> Result:
    return run("sh", "-c", script, timeout_s=timeout_s)


def gone(pid: int) -> bool:
    """Whether a process ends within a bound; a zombie has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    ended = bool(poll.poll(10_000))
    os.close(handle)
    return ended


@pytest.mark.parametrize(
    ("script", "verdict", "output"),
    [
        ("exit 0", Verdict.PASS, ""),
        ("echo fine; echo really >&2", Verdict.PASS, "fine\nreally"),
        ("echo broken; exit 3", Verdict.FAIL, "code 3: broken"),
        ("exit 1", Verdict.FAIL, "code 1"),
        ("kill -SEGV $$", Verdict.FAIL, "signal SEGV"),
        ("printf '\\377\\376\\000'", Verdict.PASS, "\ufffd\ufffd\ufffd"),
        ("cat; echo no input", Verdict.PASS, "no input"),
    ],
)
def test_codes_and_output(script: str, verdict: Verdict, output: str) -> None:
    result = sh(script)
    assert (result.verdict, result.output) == (verdict, output)


@pytest.mark.parametrize("program", ["/no/such/program", "/etc/passwd", "", "a\0b"])
def test_what_cannot_be_run(program: str) -> None:
    result = run(program)
    assert not result.good
    assert result.output.startswith("cannot run ")


def test_a_group_of_its_own() -> None:
    result = sh('test "$(ps -o pgid= -p $$ | tr -d " ")" = $$ && echo leads')
    assert result.output == "leads"


def test_what_hangs_is_killed_with_its_group_and_what_it_said_is_kept(tmp_path: Path) -> None:
    result = sh(f"echo begun; sleep 1000 & echo $! > {tmp_path}/pid; sleep 1000", 0.5)
    assert result.output == "killed: it did not end within 0.5 s: begun"
    assert 0.45 <= result.duration_s < 20
    assert gone(int((tmp_path / "pid").read_text()))


def test_what_ignores_every_signal_that_can_be_ignored() -> None:
    assert not sh("trap '' TERM INT HUP QUIT; while :; do :; done", 0.3).good


def test_what_it_leaves_behind_holds_nobody_up_and_is_ended(tmp_path: Path) -> None:
    result = sh(f"sleep 1000 & echo $! > {tmp_path}/pid; echo done")
    assert (result.verdict, result.output) == (Verdict.PASS, "done")
    assert result.duration_s < 20
    assert gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("script", ["exec yes", "yes & yes >&2 & exec yes"])
def test_a_flood_is_bounded_and_the_loop_turns(script: str) -> None:
    async def watched() -> tuple[Result, int]:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.01)
                turns += 1

        counter = asyncio.ensure_future(count())
        result = await exec_probe.run(Exec(("sh", "-c", script)), 0.5)
        counter.cancel()
        return result, turns

    result, turns = uvloop.run(watched())
    assert result.output.startswith("killed: it did not end within 0.5 s: y\ny\n")
    assert len(result.output.encode()) <= OUTPUT_BYTES
    assert turns >= 5


def test_a_long_answer_that_ends_passes() -> None:
    result = sh("head -c 300000 /dev/zero | tr '\\0' x; echo; echo end")
    assert result.verdict is Verdict.PASS
    assert result.output.startswith("xxx")


def test_no_descriptor_is_left() -> None:
    async def many() -> tuple[int, int]:
        await exec_probe.run(Exec(("true",)), 5.0)
        before = len(os.listdir("/proc/self/fd"))
        for script in ("true", "exec yes", "/no/such"):
            for _ in range(3):
                await exec_probe.run(Exec(("sh", "-c", script)), 0.1)
                await exec_probe.run(Exec((script,)), 0.1)
        return before, len(os.listdir("/proc/self/fd"))

    before, after = uvloop.run(many())
    assert after <= before + 1
