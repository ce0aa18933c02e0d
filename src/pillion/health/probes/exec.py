"""Runs a command and looks at its code. Whatever it does - hang, fork, flood - ends with the attempt, its whole group with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING

from pillion.health.result import Result, Verdict, clip

if TYPE_CHECKING:
    from pillion.health.check import Exec

# What is kept of the output; what comes after it is read slowly and thrown away, so that a flood costs little.
_KEPT_BYTES = 4096
_READ_BYTES = 64 * 1024
_PACE_S = 0.01
# For a killed process to be gone; one that waits for a dead disk is left to the kernel.
_BURIAL_S = 2.0


async def run(target: Exec, timeout_s: float) -> Result:
    """Run the command for at most `timeout_s` seconds, in a session of its own; 0 passes, any other code fails.

    What it leaves behind in its process group is killed in any case.
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    output = _Output(read_end)
    try:
        return await _run(target, timeout_s, write_end, output)
    finally:
        output.close()


async def _run(target: Exec, timeout_s: float, write_end: int, output: _Output) -> Result:
    try:
        process = await asyncio.create_subprocess_exec(
            *target.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=write_end,
            stderr=write_end,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return Result(Verdict.FAIL, clip(f"cannot run {target.command[0]}: {why}"))
    finally:
        os.close(write_end)
    try:
        async with asyncio.timeout(timeout_s):
            code = await process.wait()
    except TimeoutError:
        how = f"killed: it did not end within {timeout_s:g} s"
        return Result(Verdict.FAIL, output.after(how))
    finally:
        await _end(process)
    if code == 0:
        return Result(Verdict.PASS, output.text())
    how = f"code {code}" if code > 0 else f"signal {_signal_name(-code)}"
    return Result(Verdict.FAIL, output.after(how))


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the group, its leader and what the leader left in it, and wait for the leader."""
    # The group's number is the leader's pid. While anything lives in the group nobody else gets it, and numbers are
    # given out in turn, so that an empty group's is not another's already.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.returncode is None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BURIAL_S):
                await process.wait()


class _Output:
    """The end of a pipe from which a bounded beginning is kept."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._kept = b""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(descriptor, self._readable)

    def text(self) -> str:
        """What was kept, as text."""
        self._read()
        return clip(self._kept)

    def after(self, how: str) -> str:
        """`how` it ended, with what it had said."""
        said = self.text()
        return clip(f"{how}: {said}" if said else how)

    def close(self) -> None:
        """Read no more; whoever still writes gets EPIPE."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _readable(self) -> None:
        more = self._read()
        full = len(self._kept) >= _KEPT_BYTES
        if full or not more:
            self._loop.remove_reader(self._descriptor)
        if full and more:
            self._timer = self._loop.call_later(_PACE_S, self._go_on)

    def _go_on(self) -> None:
        self._loop.add_reader(self._descriptor, self._readable)

    def _read(self) -> bool:
        """Whether there may be more."""
        try:
            piece = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._kept += piece[: _KEPT_BYTES - len(self._kept)]
        return bool(piece)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)
