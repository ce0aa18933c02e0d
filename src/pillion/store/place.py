"""Where the embedded store is, and whether it may be there: a shared file with memory mapped between processes needs a local disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pillion.keeper.places import state_root
from pillion.store.interface import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = ".store/store.db"
"""Below the state root; no instance's name begins with a dot."""

_SCHEME = "sqlite:"
_FUSE = 0x65735546
# statfs(2): file systems whose pages are not shared between hosts in one memory, or whose locks are not the kernel's.
_NETWORK = {
    0x6969: "NFS",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB2",
    0x517B: "SMB",
    0x01021997: "9p",
    0x00C36400: "Ceph",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0x73757245: "Coda",
    0x0BD00BD0: "Lustre",
    0x01161970: "GFS2",
    0x7461636F: "OCFS2",
    0x47504653: "GPFS",
    0xBACBACBC: "VMHGFS",
    0x786F4256: "VirtualBox shared folder",
    0xAAD7AAEA: "PanFS",
}
# FUSE can be anything; these are names of what goes over a network (`fuse.NAME` in the mount table).
_NETWORK_FUSE = frozenset(
    (
        *(
            "sshfs",
            "glusterfs",
            "s3fs",
            "goofys",
            "rclone",
            "gcsfuse",
            "ceph-fuse",
            "ceph",
            "cephfs",
        ),
        *("davfs", "davfs2", "curlftpfs", "smbnetfs", "mfs", "moosefs", "juicefs", "mount-s3"),
        *("blobfuse", "blobfuse2", "seaweedfs", "vmhgfs-fuse", "grpcfuse", "osxfs"),
    )
)


def store_path(url: str) -> str:
    """The absolute path of the file that `sqlite` or `sqlite:/path` means.

    Raises `ValueError` for the URL of another engine, or a path that is not absolute.
    """
    if url == "sqlite":
        return f"{os.path.abspath(state_root())}/{FILE}"
    path = url.removeprefix(_SCHEME)
    if path == url or not path.startswith("/"):
        raise ValueError(
            f'cannot take {url!r} for a store of SQLite; write "sqlite" or "sqlite:/path/to/file"'
        )
    return os.path.normpath(path)


def refuse_network(directory: str, kind: Callable[[str], str | None] | None = None) -> None:
    """Raise `StoreUnavailableError` when `directory` is on a network file system; `kind` names that, None for a local one."""
    network = (kind or network_kind)(directory)
    if network is not None:
        raise StoreUnavailableError(
            f"cannot keep a store in {directory}: it is on a network file system ({network}), where hosts would "
            "damage it; set store.url to sqlite:/path on a local disk"
        )


def network_kind(directory: str) -> str | None:
    """The name of the network file system that `directory` is on, or None."""
    magic = _statfs_type(directory)
    if magic != _FUSE:
        return _NETWORK.get(magic)
    kind = _mounted_as(directory)
    name = kind.removeprefix("fuse.")
    return f"FUSE {name}" if name in _NETWORK_FUSE else None


def _statfs_type(directory: str) -> int:
    """statfs(2)'s f_type, which `os.statvfs` leaves out; 0 when it cannot be told."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(512)
    if libc.statfs(os.fsencode(directory), buffer) != 0:
        return 0
    word = ctypes.sizeof(ctypes.c_long)
    return int.from_bytes(buffer.raw[:word], "little") & 0xFFFF_FFFF


def _mounted_as(directory: str, table: str = "/proc/self/mountinfo") -> str:
    """The type in the mount table (proc_pid_mountinfo(5)) of the mount that `directory` is on."""
    wanted = os.path.realpath(directory)
    best, kind = "", ""
    try:
        with open(table, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                fields = line.split()
                point = fields[4].encode().decode("unicode_escape")
                inside = wanted == point or wanted.startswith(point.rstrip("/") + "/")
                if inside and len(point) >= len(best):
                    best, kind = point, fields[fields.index("-") + 1]
    except (OSError, ValueError, IndexError):
        return kind
    return kind
