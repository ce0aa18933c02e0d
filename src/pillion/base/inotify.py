"""inotify(7) through ctypes, since the standard library has no door to it: who waits for a file sleeps until something happens.

A user has 128 instances of it by default, so whoever wants one must also get along without.
"""

from __future__ import annotations

import os

IN_MODIFY = 0x002
IN_ATTRIB = 0x004
IN_CLOSE_WRITE = 0x008
IN_MOVED_FROM = 0x040
IN_MOVED_TO = 0x080
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_ONLYDIR = 0x0100_0000

GROWTH = IN_MODIFY | IN_MOVED_TO | IN_CREATE | IN_ONLYDIR
"""What happens in a directory whose files grow."""
CHANGES = (
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
"""What happens in a directory whose files are replaced: swapped, moved in, rewritten or removed. No IN_MODIFY: what is still being
written is of no use to anybody."""


class Inotify:
    """One inotify instance that reports `events`; raises `OSError` when the user's quota of instances is used up."""

    def __init__(self, events: int) -> None:
        import ctypes  # late: few ever watch a file, and nobody at the start

        self._events = events
        libc = ctypes.CDLL(None, use_errno=True)
        self._add = libc.inotify_add_watch
        self._add.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
        self.fd: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "cannot create an inotify instance")

    def watch(self, directory: str) -> bool:
        """Watch `directory`, as often as one likes; False when it cannot be watched."""
        return int(self._add(self.fd, os.fsencode(directory), self._events)) >= 0

    def drain(self) -> None:
        """Take what has been reported: that something happened is all that is wanted."""
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
