"""What control groups allow a process: the least of everything between its group and the root that is visible from here.

Both hierarchies are looked at, since a host may have controllers in each. A container often sees its own group as the
root, and then the path that /proc tells begins above what is mounted: what is mounted decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pillion.base.host_files import Files
    from pillion.base.mounts import Mount

# cgroup v1 says "no limit" with the largest multiple of a page that fits (memory.txt); anything near it is none.
_NO_LIMIT = 1 << 60


class GroupPath(msgspec.Struct, frozen=True):
    """One line of /proc/PID/cgroup; `controllers` is empty for the unified hierarchy (cgroups(7))."""

    controllers: frozenset[str]
    path: str


def parse_groups(text: str) -> list[GroupPath]:
    """The groups of a process, from the text of /proc/PID/cgroup."""
    found = []
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            names = frozenset(name for name in parts[1].split(",") if name)
            found.append(GroupPath(names, parts[2]))
    return found


def quota_cores(files: Files, groups: list[GroupPath], mounts: list[Mount]) -> float | None:
    """Cores of CPU time at most, None when nothing limits it."""
    found = []
    for directory in directories(groups, mounts, "cpu"):
        quota, _, period = files.text(f"{directory}/cpu.max").strip().partition(" ")
        if quota.isdigit() and period.isdigit() and int(period):
            found.append(int(quota) / int(period))
        quota = files.text(f"{directory}/cpu.cfs_quota_us").strip()
        period = files.text(f"{directory}/cpu.cfs_period_us").strip()
        if quota.isdigit() and period.isdigit() and int(period):
            found.append(int(quota) / int(period))
    return min(found, default=None)


def memory_limit(files: Files, groups: list[GroupPath], mounts: list[Mount]) -> int | None:
    """Bytes of memory at most, None when nothing limits it."""
    found = []
    for directory in directories(groups, mounts, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = files.text(f"{directory}/{name}").strip()
            if text.isdigit() and int(text) < _NO_LIMIT:
                found.append(int(text))
    return min(found, default=None)


def directories(groups: list[GroupPath], mounts: list[Mount], controller: str) -> Iterator[str]:
    """Every directory that may limit `controller` for a process: its own group's and those above, both hierarchies."""
    for mount, path in _mounted(groups, mounts, controller):
        yield from _upwards(mount, path)


def own_directories(groups: list[GroupPath], mounts: list[Mount], controller: str) -> Iterator[str]:
    """The directory of the process's own group, in each hierarchy that may have `controller`."""
    for mount, path in _mounted(groups, mounts, controller):
        yield next(_upwards(mount, path))


def _mounted(
    groups: list[GroupPath], mounts: list[Mount], controller: str
) -> Iterator[tuple[Mount, str]]:
    for mount in mounts:
        if mount.kind == "cgroup2":
            path = next((group.path for group in groups if not group.controllers), None)
        elif mount.kind == "cgroup" and controller in mount.options:
            path = next((group.path for group in groups if controller in group.controllers), None)
        else:
            continue
        if path is not None:
            yield mount, path


def _upwards(mount: Mount, path: str) -> Iterator[str]:
    root = mount.root.rstrip("/")
    inside = path[len(root) :] if f"{path}/".startswith(f"{root}/") else path
    steps = [step for step in inside.split("/") if step not in ("", "..")]
    while steps:
        yield "/".join([mount.point.rstrip("/"), *steps])
        steps.pop()
    yield mount.point
