"""Adopting a process that someone else started: watched by its pidfd, never ended by us, and we retire with it."""

from __future__ import annotations

import fcntl
import os
import struct
import time

from . import posix
from .launch import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .loop import Loop

# PIDFD_GET_INFO (linux/pidfd.h): _IOWR(0xFF, 11, struct pidfd_info of 64 bytes); the exit status since Linux 6.15, once reaped.
_PIDFD_GET_INFO = 0xC040FF0B
_PIDFD_INFO_EXIT = 1 << 3
_INFO_BYTES = 64
_EXIT_CODE_AT = 60
# Its parent may take its time to reap it, and only then does the kernel tell.
_ASK_EVERY_S = 0.02
_ASK_BOUND_S = 1.0


class Adopted:
    """A process of someone else's, identified by pid and start time; `pidfd` names it for good."""

    def __init__(self, pid: int, pidfd: int, ticks: int) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.ticks = ticks

    @staticmethod
    def open(pid: int) -> Adopted:
        """Return the living process `pid`. Raises Failure when there is none, or it changed under our eyes, or is our own ancestor's kin.

        The start time is read before and after the pidfd was opened: both must be of the same process.
        """
        before = posix.start_ticks(pid)
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            raise Failure(f"cannot attach to pid {pid}: no such process", 1) from None
        except OSError as error:
            raise Failure(f"cannot attach to pid {pid}: {error.strerror}", 1) from error
        ticks = posix.start_ticks(pid)
        if before is None or ticks is None or ticks != before:
            os.close(pidfd)
            raise Failure(
                f"cannot attach to pid {pid}: it ended while we looked; look up the pid again", 1
            )
        if pid == os.getpid():
            os.close(pidfd)
            raise Failure("cannot attach to ourselves", 1)
        return Adopted(pid, pidfd, ticks)

    def exit_code(self) -> int | None:
        """Return the exit code (negative for a signal), or None while or where the kernel does not tell."""
        info = bytearray(_INFO_BYTES)
        struct.pack_into("<Q", info, 0, _PIDFD_INFO_EXIT)
        try:
            fcntl.ioctl(self.pidfd, _PIDFD_GET_INFO, info)
        except OSError:
            return None
        (mask,) = struct.unpack_from("<Q", info, 0)
        if not mask & _PIDFD_INFO_EXIT:
            return None
        (status,) = struct.unpack_from("<i", info, _EXIT_CODE_AT)
        return os.waitstatus_to_exitcode(status)

    def watch(self, loop: Loop, ended: Callable[[int | None], None]) -> None:
        """Call `ended(code)` once when the process has ended; None when its code cannot be known."""

        def readable() -> None:
            loop.remove(self.pidfd)
            deadline_s = time.monotonic() + _ASK_BOUND_S

            def ask() -> None:
                code = self.exit_code()
                if code is None and time.monotonic() < deadline_s:
                    loop.after(_ASK_EVERY_S, ask)
                    return
                os.close(self.pidfd)
                ended(code)

            ask()

        loop.add(self.pidfd, readable)


def command_line(pid: int) -> list[str]:
    """Return the arguments of a process, or its name when it has none."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().rstrip(b"\0").decode(errors="replace").split("\0")
        with open(f"/proc/{pid}/comm") as file:
            comm = file.read().strip()
    except OSError:
        return [f"pid-{pid}"]
    return words if words != [""] else [comm]
