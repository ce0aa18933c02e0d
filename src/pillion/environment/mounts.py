"""Mounts, and which of them hold the files that matter."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import msgspec

from pillion.environment.facts import Disk
from pillion.environment.secrecy import without_userinfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(msgspec.Struct, frozen=True):
    """One line of mountinfo (proc(5)): `root` is the part of the file system that is mounted at `point`."""

    root: str
    point: str
    kind: str
    source: str
    options: frozenset[str]


def parse_mounts(text: str) -> list[Mount]:
    """The mounts of a mountinfo text, in its order; lines that make no sense are left out."""
    found = []
    for line in text.splitlines():
        left, dash, right = line.partition(" - ")
        fields, rest = left.split(" "), right.split(" ")
        if not dash or len(fields) < 6 or len(rest) < 2:
            continue
        options = frozenset(",".join([fields[5], *rest[2:]]).split(","))
        found.append(Mount(_plain(fields[3]), _plain(fields[4]), rest[0], _plain(rest[1]), options))
    return found


def mount_of(mounts: Sequence[Mount], path: str) -> Mount | None:
    """The mount that holds the absolute `path`: the deepest, and of several at one point the last, which covers the others."""
    best = None
    for mount in mounts:
        point = mount.point.rstrip("/")
        if f"{path}/".startswith(f"{point}/") and (
            best is None or len(mount.point) >= len(best.point)
        ):
            best = mount
    return best


def disks(
    mounts: Sequence[Mount],
    places: Mapping[str, str],
    measure: Callable[[str], tuple[int, int] | None],
) -> list[Disk]:
    """The file systems that hold `places` (what for: path), each once. `measure` gives size and free bytes of a mount point."""
    held: dict[Mount, list[str]] = {}
    for purpose, path in places.items():
        mount = mount_of(mounts, path)
        if mount is not None:
            held.setdefault(mount, []).append(purpose)
    found = []
    for mount, purposes in held.items():
        size, free = measure(mount.point) or (None, None)
        found.append(
            Disk(
                mount=mount.point,
                device=without_userinfo(mount.source),
                kind=mount.kind,
                holds=purposes,
                size=size,
                free=free,
            )
        )
    return found


def measure(point: str) -> tuple[int, int] | None:
    """Size and free bytes of the file system at `point`, None when it does not say; may hang with a network file system."""
    try:
        told = os.statvfs(point)
    except OSError:
        return None
    return told.f_blocks * told.f_frsize, told.f_bavail * told.f_frsize


def _plain(field: str) -> str:
    """A field without mountinfo's escapes of blanks and backslashes."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), field) if "\\" in field else field
