"""The file systems of a host that fill up: those on devices of its own, each once.

Network file systems and FUSE are left out, since statvfs(3) waits for a server that is away.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pillion.telemetry.host_measurements import FileSystem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pillion.base.mounts import Mount

_LOCAL = frozenset(
    (
        "ext2",
        "ext3",
        "ext4",
        "xfs",
        "btrfs",
        "f2fs",
        "zfs",
        "bcachefs",
        "jfs",
        "vfat",
        "exfat",
        "ntfs3",
    )
)
# A container's root is often one of these, on a device that is not to be seen.
_ROOTS = frozenset(("overlay", "tmpfs"))
MOST_FILESYSTEMS = 32


def read_filesystems(
    mounts: Sequence[Mount], statvfs: Callable[[str], os.statvfs_result] = os.statvfs
) -> tuple[FileSystem, ...]:
    """Measure them, `MOST_FILESYSTEMS` at most; call it in a thread."""
    found: dict[str, FileSystem] = {}
    for mount in mounts:
        if mount.kind not in _LOCAL and not (mount.point == "/" and mount.kind in _ROOTS):
            continue
        key = mount.source if mount.kind in _LOCAL else mount.point
        if key in found or len(found) >= MOST_FILESYSTEMS:
            continue
        try:
            told = statvfs(mount.point)
        except OSError:
            continue  # gone, or not ours to see
        unit = told.f_frsize
        found[key] = FileSystem(
            point=mount.point,
            device=mount.source,
            kind=mount.kind,
            used=(told.f_blocks - told.f_bfree) * unit,
            free=told.f_bavail * unit,
            reserved=(told.f_bfree - told.f_bavail) * unit,
        )
    return tuple(found.values())
