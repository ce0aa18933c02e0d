"""The app's process, from /proc/PID; its environment is not read."""

from __future__ import annotations

import grp
import pwd
from typing import TYPE_CHECKING

from pillion.environment.facts import Account, Bound, Process
from pillion.environment.secrecy import without_userinfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.base.host_files import Files

_MOST_ARGUMENTS = 1000
_MOST_CHARACTERS = 4096

# What /proc/PID/limits calls them, and what setrlimit(2) does.
_RESOURCES = {
    "Max cpu time": "cpu", "Max file size": "fsize", "Max data size": "data", "Max stack size": "stack",
    "Max core file size": "core", "Max resident set": "rss", "Max processes": "nproc", "Max open files": "nofile",
    "Max locked memory": "memlock", "Max address space": "as", "Max file locks": "locks",
    "Max pending signals": "sigpending", "Max msgqueue size": "msgqueue", "Max nice priority": "nice",
    "Max realtime priority": "rtprio", "Max realtime timeout": "rttime",
}  # fmt: skip


def parse_arguments(data: bytes) -> list[str]:
    """The arguments of a /proc/PID/cmdline, credentials in URLs left out, bounded in number and length."""
    if not data:
        return []
    parts = data.removesuffix(b"\0").split(b"\0")[:_MOST_ARGUMENTS]
    return [
        without_userinfo(part.decode("utf-8", "backslashreplace"))[:_MOST_CHARACTERS]
        for part in parts
    ]


def parse_bounds(text: str) -> dict[str, Bound]:
    """The resource limits of a /proc/PID/limits, by the names of setrlimit(2)."""
    found = {}
    for line in text.splitlines():
        for title, name in _RESOURCES.items():
            if line.startswith(f"{title} "):
                soft, hard, *_ = [*line[len(title) :].split(), "", ""]
                found[name] = Bound(soft=_number(soft), hard=_number(hard))
    return found


def parse_ids(text: str) -> dict[str, list[int]]:
    """Uid, Gid (real, effective, saved, file system) and Groups of a /proc/PID/status."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name in ("Uid", "Gid", "Groups"):
            found[name] = [int(number) for number in rest.split() if number.isdigit()]
    return found


def user_name(number: int) -> str | None:
    """The name of a user id on this host."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return None


def group_name(number: int) -> str | None:
    """The name of a group id on this host."""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return None


def read_process(
    files: Files,
    pid: int,
    started: str | None,
    user: Callable[[int], str | None] = user_name,
    group: Callable[[int], str | None] = group_name,
) -> Process | None:
    """The process `pid`, None when it is gone. `user` and `group` give names to ids."""
    status = files.text(f"/proc/{pid}/status")
    if not status:
        return None
    ids = parse_ids(status)
    uid, gid = ids.get("Uid", [])[1:2], ids.get("Gid", [])[1:2]
    return Process(
        pid=pid,
        started=started,
        executable=files.link(f"/proc/{pid}/exe"),
        arguments=parse_arguments(files.data(f"/proc/{pid}/cmdline")),
        workdir=files.link(f"/proc/{pid}/cwd"),
        user=Account(id=uid[0], name=user(uid[0])) if uid else None,
        group=Account(id=gid[0], name=group(gid[0])) if gid else None,
        groups=[Account(id=one, name=group(one)) for one in ids.get("Groups", [])],
        resources=parse_bounds(files.text(f"/proc/{pid}/limits")),
    )


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None
