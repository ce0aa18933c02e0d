"""The app's side of the scribe: pipes, and the socket of what is posted, that are read into their rings."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
import termios
import time

from .lean import socket
from .ring import BLOCK
from .streams import MESSAGE_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .ring import Ring


class Pipe:
    """What the scribe is given for one stream: the read end, the ring's memory, and the fd that it is mirrored to (-1: none)."""

    __slots__ = ("capacity", "fd", "memory", "mirror_fd", "name")

    def __init__(self, name: str, fd: int, memory: int, capacity: int, mirror_fd: int = -1) -> None:
        self.name = name
        self.fd = fd
        self.memory = memory
        self.capacity = capacity
        self.mirror_fd = mirror_fd


class Input:
    """One pipe being read into its ring."""

    __slots__ = ("ended", "fd", "full", "name", "pace_below", "paused", "ring", "socket")

    def __init__(self, pipe: Pipe, ring: Ring, full: str) -> None:
        self.name = pipe.name
        self.fd = pipe.fd
        self.ring = ring
        self.full = full
        self.paused = False
        self.ended = False
        # A read that found the pipe half full is followed by the next at once.
        self.pace_below = pipe.capacity // 2
        is_socket = stat.S_ISSOCK(os.fstat(pipe.fd).st_mode)
        self.socket = socket.socket(fileno=pipe.fd) if is_socket else None

    def read(self, scratch: bytearray) -> int:
        """Read once; return the bytes read, 0 when there are none (or the ring blocks)."""
        length = 0
        if self.socket is not None:
            length = _next_message(self.socket)
            if length <= 0:
                # One without anything in it is taken out of the way.
                return 0 if length else len(os.read(self.fd, 1))
        room = self.ring.reserve(length)
        if room is None and self.full == BLOCK:
            self.paused = True
            return 0
        target: bytearray | memoryview = scratch
        if room is not None:
            # Exactly what is there, so that a successor knows what a read of ours brought that we did not live to enter.
            length = length or min(_available(self.fd), len(room))
            target = room[:length]
            self.ring.intend(length)
        try:
            count = os.readv(self.fd, [target])
        except BlockingIOError:
            return 0
        except OSError:
            # EIO of a pty whose last writer has gone.
            self.ended = True
            return 0
        if not count:
            self.ended = True
        elif room is None:
            self.ring.skip(count)
        else:
            self.ring.commit(count, time.time_ns())
        return count


def _available(fd: int) -> int:
    """Return how many bytes a read would bring, at least 1: a read of nothing tells the end (FIONREAD, ioctl_pipe(2))."""
    answer = fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0")
    return max(1, int.from_bytes(answer, sys.byteorder))


def _next_message(sock: socket.socket) -> int:
    """Return the length of the next message whole, -1 when there is none: a read of less would cut it off (recv(2), MSG_TRUNC)."""
    try:
        length = sock.recv_into(bytearray(1), 1, socket.MSG_PEEK | socket.MSG_TRUNC)
    except BlockingIOError:
        return -1
    return min(length, MESSAGE_BYTES)
