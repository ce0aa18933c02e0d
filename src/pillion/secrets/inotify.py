"""inotify(7) on directories, for changes of any kind in them: a mounted secret is swapped, moved in, rewritten or removed."""

from __future__ import annotations

import ctypes
import os

IN_ATTRIB = 0x004
IN_CLOSE_WRITE = 0x008
IN_MOVED_FROM = 0x040
IN_MOVED_TO = 0x080
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_ONLYDIR = 0x0100_0000

# Not IN_MODIFY: a value that is still being written is of no use to anybody.
_CHANGES = (
    IN_ATTRIB
    | IN_CLOSE_WRITE
    | IN_MOVED_FROM
    | IN_MOVED_TO
    | IN_CREATE
    | IN_DELETE
    | IN_DELETE_SELF
    | IN_MOVE_SELF
    | IN_ONLYDIR
)


class Inotify:
    """One inotify instance; raises `OSError` when the user's quota of instances (128 by default) is used up."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._add = libc.inotify_add_watch
        self._add.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
        self.fd: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "cannot create an inotify instance")

    def watch(self, directory: str) -> bool:
        """Watch `directory`, as often as one likes; False when it cannot be watched."""
        return int(self._add(self.fd, os.fsencode(directory), _CHANGES)) >= 0

    def drain(self) -> None:
        """Take what has been reported: that something changed is all that is wanted."""
        while True:
            try:
                if len(os.read(self.fd, 16384)) < 8192:
                    return
            except (BlockingIOError, InterruptedError):
                return

    def close(self) -> None:
        """Give the descriptor back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
