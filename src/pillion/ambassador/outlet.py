# cython: annotation_typing=False, auto_pickle=False
"""Records on their way into a spool stream: gathered into messages, so that a request costs no system call of its own.

The data plane never waits for the spool: what the socket refuses is kept within a bound, and beyond it the oldest is
dropped and counted.
"""

import socket
from collections import deque
from typing import TYPE_CHECKING

from pillion.http.codec.block import Block

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

# A message goes out at this size, or when its first line has waited this long.
FLUSH_BYTES = 32 * 1024
FLUSH_S = 0.05
_full_bytes = FLUSH_BYTES
# With FLUSH_BYTES still within one message of a spool stream (64 KiB).
LINE_BYTES = 8 * 1024
# What waits for a socket that refuses.
KEPT_BYTES = 1 << 20
_AGAIN_MOST_S = 1.0


class Outlet:
    """Gathers whole lines and hands them to `send`, which returns False when there is no room now.

    `lines` counts what was handed over, `dropped` the lines that were lost, `refused` messages without room. A timer
    runs only while something waits.
    """

    __slots__ = (
        "_again_s",
        "_count",
        "_kept",
        "_kept_bytes",
        "_loop",
        "_send",
        "_timer",
        "dropped",
        "gathered",
        "lines",
        "refused",
    )

    def __init__(self, send: "Callable[[bytes], bool]", loop: "asyncio.AbstractEventLoop") -> None:
        self._send = send
        self._loop = loop
        self.gathered = Block()
        """Whole lines; whoever writes one into it himself says `added`."""
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._kept: deque[tuple[bytes, int]] = deque()
        self._kept_bytes = 0
        self._again_s = FLUSH_S
        self.lines = 0
        self.dropped = 0
        self.refused = 0

    @property
    def waiting_bytes(self) -> int:
        """What has not been handed over yet."""
        return self.gathered.size + self._kept_bytes

    def add(self, line: bytes) -> None:
        """Take a line with its newline, of at most LINE_BYTES."""
        self.gathered.put(line)
        self.added()

    def added(self) -> None:
        """Another line has been gathered."""
        self._count += 1
        if self.gathered.size >= _full_bytes:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(FLUSH_S, self._due)

    def flush(self) -> None:
        """Hand over what has been gathered, and what waits from before."""
        if self._count:
            data = self.gathered.take()
            self._kept.append((data, self._count))
            self._kept_bytes += len(data)
            self._count = 0
        while self._kept:
            data, count = self._kept[0]
            if not self._handed(data):
                break
            self._kept.popleft()
            self._kept_bytes -= len(data)
            self.lines += count
            self._again_s = FLUSH_S
        while self._kept_bytes > KEPT_BYTES:
            data, count = self._kept.popleft()
            self._kept_bytes -= len(data)
            self.dropped += count
        if self._kept and self._timer is None:
            self._again_s = min(self._again_s * 2, _AGAIN_MOST_S)
            self._timer = self._loop.call_later(self._again_s, self._due)

    def close(self) -> None:
        """Hand over what can be, count the rest as dropped, and stop the timer."""
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _, count in self._kept:
            self.dropped += count
        self._kept.clear()
        self._kept_bytes = 0

    def _due(self) -> None:
        self._timer = None
        self.flush()

    def _handed(self, data: bytes) -> bool:
        try:
            taken = self._send(data)
        except OSError:
            # The other end is being replaced; the keeper holds the socket, so there will be room again.
            taken = False
        if not taken:
            self.refused += 1
        return taken


def message_socket(stream: socket.socket) -> "Callable[[bytes], bool]":
    """Return a `send` for an Outlet: into a message socket that other processes may have too, and never waiting."""

    def send(data: bytes) -> bool:
        try:
            # The flag and not the mode: the mode is shared with every process that has this socket.
            stream.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return True

    return send
