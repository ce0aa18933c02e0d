"""A proxy that somebody else runs - systemd, its own container - told to load by a signal to the pid in its pid file, or by a command.

A pid is never trusted alone: the file may be older than the process that has the number now.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import msgspec

from pillion.base.command import run_command
from pillion.errors import PillionError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND_S = 30.0

_PID_BYTES = 64
# A pid file is written by the process itself, after it was started; its file system's clock is coarser than the kernel's.
_SLACK_S = 2.0


class Found(msgspec.Struct, frozen=True):
    """A process and when it was started, in clock ticks since the boot: together they name it for as long as the system runs."""

    pid: int
    started: int


class Outside:
    """Somebody else's `kind` (nginx, haproxy). With `reload` that command is run instead of a signal being sent; `pid_file` says which process it is."""

    def __init__(
        self, name: str, kind: str, *, pid_file: str | None = None, reload: Sequence[str] = ()
    ) -> None:
        self._name = name
        self._kind = kind
        self._pid_file = pid_file
        self._reload = tuple(reload)

    async def start(self) -> None:
        """It cannot be started from here; with a command that one is run, which may do so (`systemctl reload-or-restart`)."""
        if not self._reload:
            raise PillionError(
                f"cannot start {self._name}: somebody else runs it, and {self._trouble()}; start it there"
            )
        await self._command()

    async def signal(self, name: str) -> None:
        """Send it a signal, or run the command. Raises `PillionError`."""
        if self._reload:
            await self._command()
            return
        found = self._find()
        if isinstance(found, str):
            raise PillionError(f"cannot tell {self._name} to load: {found}; is it running?")
        try:
            descriptor = os.pidfd_open(found.pid)
            try:
                # What the descriptor names is what was looked at only if it is that still.
                if started(found.pid) != found.started:
                    raise ProcessLookupError(0, "it has just ended")
                signal.pidfd_send_signal(descriptor, signal.Signals[f"SIG{name}"])
            finally:
                os.close(descriptor)
        except OSError as error:
            raise PillionError(
                f"cannot send {name} to pid {found.pid} of {self._name}: {error.strerror}; set the proxy's reload to a command that may"
            ) from error

    def running(self) -> int | None:
        """Its master's pid; None when it does not run, or nobody says which it is."""
        found = self._find()
        return None if isinstance(found, str) else found.pid

    def _find(self) -> Found | str:
        """The process that the pid file means, or why there is none."""
        if self._pid_file is None:
            return "it has no pid file"
        try:
            with open(self._pid_file, "rb") as file:
                text = file.read(_PID_BYTES)
                written_s = os.fstat(file.fileno()).st_mtime
        except OSError as error:
            return f"{self._pid_file}: {error.strerror}"
        # HAProxy writes a line for each of its processes, the master's first.
        words = text.split()
        if not words or not words[0].isdigit() or not 1 < int(words[0]) < 1 << 31:
            return f"{self._pid_file} holds no pid"
        pid = int(words[0])
        since = started(pid)
        if since is None:
            return f"pid {pid} of {self._pid_file} is not there"
        program = _program(pid)
        if program != self._kind:
            return (
                f"pid {pid} of {self._pid_file} is {program or 'another process'}, not {self._kind}"
            )
        if _younger(since, written_s):
            return f"pid {pid} of {self._pid_file} was started after that file was written"
        return Found(pid, since)

    def _trouble(self) -> str:
        found = self._find()
        return found if isinstance(found, str) else "it runs already"

    async def _command(self) -> None:
        ended = await run_command(self._reload, COMMAND_S)
        if ended.failure:
            said = f": {ended.output}" if ended.output else ""
            raise PillionError(
                f"cannot tell {self._name} to load: {ended.failure}{said}; correct the proxy's reload"
            )


def started(pid: int) -> int | None:
    """When the process was started, in clock ticks since the boot (proc(5), `starttime`); None when it is not there, or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read(4096).rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def _program(pid: int) -> str:
    """The name of its program: of the file that it executes, where we may look, else what it calls itself."""
    try:
        # A program whose package was upgraded meanwhile.
        path = os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
        return os.path.basename(path)
    except OSError:
        pass
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            return file.read(64).strip().decode(errors="replace")
    except OSError:
        return ""


def _younger(since: int, written_s: float) -> bool:
    """Whether a process that was started `since` cannot have written a file at `written_s`.

    A file that seems older than the boot says nothing: the clock may have been set since.
    """
    try:
        with open("/proc/stat", "rb") as file:
            boot_s = next(int(line.split()[1]) for line in file if line.startswith(b"btime "))
    except (OSError, StopIteration, ValueError):
        return False
    begun_s = boot_s + since / os.sysconf("SC_CLK_TCK")
    return boot_s < written_s < begun_s - _SLACK_S
