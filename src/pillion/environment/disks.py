"""File systems that hold what matters to the instance, and how full they are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pillion.base.mounts import mount_of
from pillion.environment.facts import Disk
from pillion.environment.secrecy import without_userinfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pillion.base.mounts import Mount


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
