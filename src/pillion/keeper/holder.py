"""Who holds a TCP address that we cannot have: asked only when a start has failed, so that the error names the culprit."""

from __future__ import annotations

import os

_LISTEN = "0A"


def listening_inodes(port: int, table: str) -> set[str]:
    """Return the socket inodes that listen on a port, from the text of /proc/net/tcp or tcp6 (proc(5))."""
    found = set()
    for line in table.splitlines()[1:]:
        fields = line.split()
        if (
            len(fields) > 9
            and fields[3] == _LISTEN
            and int(fields[1].rpartition(":")[2], 16) == port
        ):
            found.add(fields[9])
    return found


def holder(port: int) -> str | None:
    """Return `pid 4711 (java)` of a process that listens on a TCP port, or None when none is to be seen."""
    inodes: set[str] = set()
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/net/{name}") as file:
                inodes |= listening_inodes(port, file.read())
        except OSError:
            continue
    wanted = {f"socket:[{inode}]" for inode in inodes}
    if not wanted:
        return None
    for pid in os.listdir("/proc"):
        if pid.isdigit() and _holds(pid, wanted):
            return f"pid {pid} ({_comm(pid)})"
    return None


def _holds(pid: str, wanted: set[str]) -> bool:
    directory = f"/proc/{pid}/fd"
    try:
        for fd in os.listdir(directory):
            try:
                if os.readlink(f"{directory}/{fd}") in wanted:
                    return True
            except FileNotFoundError:
                continue
    except OSError:
        return False  # gone, or another user's
    return False


def _comm(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return "gone"
