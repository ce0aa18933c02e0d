"""inotify(7) through ctypes, since the standard library has no door to it: a reader should sleep until the spool grows."""

from __future__ import annotations

import ctypes
import os

IN_MODIFY = 0x002
IN_MOVED_TO = 0x080
IN_CREATE = 0x100
IN_ONLYDIR = 0x0100_0000

_GROWTH = IN_MODIFY | IN_MOVED_TO | IN_CREATE | IN_ONLYDIR


class Inotify:
    """One inotify instance; raises `OSError` when the user's quota of instances is used up."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._add = libc.inotify_add_watch
        self._add.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
        self.fd: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "cannot create an inotify instance")

    def watch(self, directory: str) -> bool:
        """Watch `directory` for files that are created, moved in or written; False when it cannot be watched."""
        return int(self._add(self.fd, os.fsencode(directory), _GROWTH)) >= 0

    def drain(self) -> None:
        """Take what has been reported: that something grew is all that is wanted."""
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
