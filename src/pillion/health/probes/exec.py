"""Runs a command and looks at its code. Whatever it does - hang, fork, flood - ends with the attempt, its whole group with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.base.command import run_command
from pillion.health.result import Result, Verdict, clip

if TYPE_CHECKING:
    from pillion.health.check import Exec


async def run(target: Exec, timeout_s: float) -> Result:
    """Run the command for at most `timeout_s` seconds, in a session of its own; 0 passes, any other code fails."""
    ended = await run_command(target.command, timeout_s)
    if not ended.how:
        return Result(Verdict.PASS, clip(ended.output))
    said = f"{ended.how}: {ended.output}" if ended.output else ended.how
    return Result(Verdict.FAIL, clip(said))
