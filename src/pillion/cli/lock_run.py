"""A command that runs while a lock is held: renewed meanwhile, ended when the lock is lost, released at the end.

The lock is bound to this process, and the command's end to ours: if we are killed, the lock is free and the command gets TERM.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from pillion.errors import PillionError, RefusedError, UnreachableError, UsageError
from pillion.keeper.posix import PR_SET_PDEATHSIG, prctl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pillion.cli.door import Door

TOKEN_VARIABLE = "PILLION_LOCK_TOKEN"  # noqa: S105 # a fencing token is no secret
NAME_VARIABLE = "PILLION_LOCK_NAME"
STOP_S = 10.0
"""Seconds between TERM and KILL for a command whose lock is lost."""
# A renewal comes at a third of the lease's time, and again every second while it fails.
_RENEWALS = 3.0
_AGAIN_S = 1.0
_ANSWER_S = 5.0
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126


class Lease(msgspec.Struct, kw_only=True):
    """What the agent answers to a lock that is taken or renewed."""

    name: str
    token: int
    lease: str
    expires_in_s: float


def run_locked(
    door: Door, name: str, command: Sequence[str], *, ttl_s: float, wait_s: float, holder: str
) -> int:
    """Take the lock, run the command, and return its exit code (128+n for a signal).

    Raises `RefusedError` when the lock is not free within the wait, `UsageError` for a command that cannot be run.
    """
    path = f"/v1/locks/{quote(name, safe='')}"
    lease, asked_s = _take(door, path, ttl_s, wait_s, holder)
    try:
        return _run(door, path, command, lease, asked_s)
    finally:
        _release(door, path, lease)


def _take(door: Door, path: str, ttl_s: float, wait_s: float, holder: str) -> tuple[Lease, float]:
    deadline_s = time.monotonic() + wait_s
    while True:
        left_s = max(0.0, deadline_s - time.monotonic())
        # One request waits for at most five minutes.
        once_s = min(left_s, 300.0)
        wanted = {
            "ttl": f"{ttl_s:g}s",
            "wait": f"{round(once_s * 1000)}ms",
            "holder": holder,
            "bind": "process",
        }
        try:
            lease = door.api("PUT", path, Lease, body=wanted, timeout_s=once_s + 2 * _ANSWER_S)
        except (RefusedError, UnreachableError) as error:
            # An agent that is being replaced sends everybody to ask again, and is not there for a moment.
            passes = isinstance(error, UnreachableError) or error.status in (409, 503)
            if not passes or time.monotonic() + _AGAIN_S >= deadline_s:
                raise
            if not (isinstance(error, RefusedError) and error.status == 409):
                time.sleep(_AGAIN_S)
            continue
        return lease, time.monotonic()


def _run(door: Door, path: str, command: Sequence[str], lease: Lease, asked_s: float) -> int:
    environment = {
        **os.environ,
        TOKEN_VARIABLE: str(lease.token),
        NAME_VARIABLE: lease.name,
    }
    parent = os.getpid()

    def die_with_parent() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(_NOT_EXECUTABLE)

    try:
        # Nothing of ours runs in another thread, so that the hook is safe.
        process = subprocess.Popen(command, env=environment, preexec_fn=die_with_parent)
    except FileNotFoundError as error:
        sys.stderr.write(f"pillion: cannot start {command[0]}: no such command\n")
        return _NOT_FOUND if error.filename == command[0] else _NOT_EXECUTABLE
    except OSError as error:
        sys.stderr.write(f"pillion: cannot start {command[0]}: {error.strerror}\n")
        return _NOT_EXECUTABLE
    # What a terminal sends reaches the command as well; what is sent to us alone is passed on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _: process.send_signal(got))
    code = _watch(door, path, process, lease, asked_s)
    return 128 - code if code < 0 else code


def _watch(
    door: Door, path: str, process: subprocess.Popen[bytes], lease: Lease, begun_s: float
) -> int:
    """Wait for the command's end and renew meanwhile; end it when the lock is lost."""
    safe_s = begun_s + lease.expires_in_s
    pause_s = lease.expires_in_s / _RENEWALS
    while True:
        try:
            return process.wait(max(0.0, min(pause_s, safe_s - time.monotonic())))
        except subprocess.TimeoutExpired:
            pass  # it is time to renew
        asked_s = time.monotonic()
        why = "its time is over"
        if asked_s < safe_s:
            try:
                answer_s = max(0.1, min(_ANSWER_S, safe_s - asked_s))
                renewed = door.api(
                    "PUT", path, Lease, body={"lease": lease.lease}, timeout_s=answer_s
                )
            except (RefusedError, UnreachableError) as error:
                why = str(error)
                if not (isinstance(error, RefusedError) and error.status in (404, 409)):
                    pause_s = _AGAIN_S
                    continue
            else:
                safe_s = asked_s + renewed.expires_in_s
                pause_s = renewed.expires_in_s / _RENEWALS
                continue
        sys.stderr.write(f"pillion: the lock {lease.name} is lost: {why}; ending the command\n")
        return _end(process)


def _end(process: subprocess.Popen[bytes]) -> int:
    process.terminate()
    try:
        return process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _release(door: Door, path: str, lease: Lease) -> None:
    try:
        door.api("DELETE", f"{path}?lease={lease.lease}", dict, timeout_s=_ANSWER_S)
    except PillionError as error:
        # Lost already, or the agent is away: it is bound to this process, which ends now.
        if not (isinstance(error, RefusedError) and error.status in (404, 409)):
            sys.stderr.write(f"pillion: {error}\n")


def check_command(command: Sequence[str]) -> None:
    """Raise `UsageError` when there is nothing to run."""
    if not command:
        raise UsageError("cannot run nothing: pillion locks run NAME -- COMMAND")
