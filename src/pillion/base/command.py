"""Runs a command of the user's to its end, or to a bound: whatever it does - hang, fork, flood - costs no more than was agreed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, NamedTuple

from pillion.model.place import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT_BYTES = 4096
"""Of what a command says, the beginning."""

_READ_BYTES = 64 * 1024
# What comes after it is read slowly and thrown away, so that a flood costs little.
_PACE_S = 0.01
# For a killed process to be gone; one that waits for a dead disk is left to the kernel.
_BURIAL_S = 2.0


class Ended(NamedTuple):
    """How `program` ended: `how` (`code 3`, `signal SEGV`, `killed: …`, `cannot run …`) is empty after code 0; `output` is the
    beginning of what it said."""

    program: str
    how: str
    output: str

    @property
    def failure(self) -> str:
        """The failure with its culprit; empty after code 0."""
        if not self.how or self.how.startswith("cannot"):
            return self.how
        return (
            f"{self.program} {'was' if self.how.startswith('killed') else 'ended with'} {self.how}"
        )


async def run_command(
    command: Sequence[str],
    timeout_s: float,
    directory: str | None = None,
    path: str | None = None,
) -> Ended:
    """Run `command` for at most `timeout_s` seconds in a session of its own, with nothing on its stdin, in `directory` or ours.

    It is looked for by `path`, which becomes its PATH, or by ours.

    What it leaves behind in its process group is killed in any case, also when the caller is cancelled.
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    output = _Output(read_end)
    try:
        how = await _run(command, timeout_s, write_end, directory, path)
        return Ended(command[0], how, output.text())
    finally:
        output.close()


async def _run(
    command: Sequence[str],
    timeout_s: float,
    write_end: int,
    directory: str | None,
    path: str | None,
) -> str:
    env = {name: text for name, text in os.environ.items() if name != VARIABLE}
    if path is not None:
        env["PATH"] = path
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=write_end,
            stderr=write_end,
            start_new_session=True,
            cwd=directory,
            env=env,
        )
    except (OSError, ValueError) as error:
        return f"cannot run {command[0]}: {getattr(error, 'strerror', None) or error}"
    finally:
        os.close(write_end)
    try:
        async with asyncio.timeout(timeout_s):
            code = await process.wait()
    except TimeoutError:
        return f"killed: it did not end within {timeout_s:g} s"
    finally:
        await _end(process)
    if code == 0:
        return ""
    return f"code {code}" if code > 0 else f"signal {_name(-code)}"


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the group, its leader and what the leader left in it, and wait for the leader."""
    # While anything lives in the group nobody else gets its number, and numbers are given out in turn, so that an empty
    # group's is not another's already.
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
        """What was kept, as text that a terminal and a journal can show."""
        self._read()
        text = self._kept.decode(errors="replace").strip()
        return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)

    def close(self) -> None:
        """Read no more; whoever still writes gets EPIPE."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _readable(self) -> None:
        more = self._read()
        full = len(self._kept) >= KEPT_BYTES
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
        self._kept += piece[: KEPT_BYTES - len(self._kept)]
        return bool(piece)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)
