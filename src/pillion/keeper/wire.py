"""Messages between the keeper and its children: one JSON object per packet, never a wait.

The messages themselves are set down in ARCHITECTURE.md, "The wire between keeper and children".
"""

from __future__ import annotations

import os
import sys

from .lean import deque, json, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
    Message: TypeAlias = dict[str, Json]

MAX_MESSAGE_BYTES = 128 * 1024
MAX_DESCRIPTORS = 8
_MAX_OUTBOX = 64
# More than a socket's buffer holds: a peer that never stops sending is left for the next turn.
_MAX_BATCH = 512


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a channel; both close on exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def encode(message: Message) -> bytes:
    """Return a message as it goes over the wire. Raises ValueError when it is larger than MAX_MESSAGE_BYTES."""
    data = json.dumps(message, separators=(",", ":")).encode()
    if len(data) > MAX_MESSAGE_BYTES:
        raise ValueError(
            f"cannot send a message of {len(data)} bytes: the limit is {MAX_MESSAGE_BYTES}"
        )
    return data


def decode(data: bytes) -> Message | None:
    """Return the message, or None for what is no JSON object: a peer's nonsense is no reason to fall."""
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


class Channel:
    """One end of a channel. `closed` turns true when the peer is gone; `dropped` counts what a full outbox refused."""

    __slots__ = ("_outbox", "closed", "dropped", "sock")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.closed = False
        self.dropped = 0
        self._outbox: deque[tuple[bytes, Sequence[int]]] = deque()

    def fileno(self) -> int:
        """Return the socket's descriptor, for poll."""
        return self.sock.fileno()

    @property
    def waiting(self) -> bool:
        """Whether messages wait for room in the socket."""
        return bool(self._outbox)

    def send(self, message: Message, fds: Sequence[int] = ()) -> bool:
        """Send, or queue when the socket is full; False when the message was dropped (queue full, peer gone).

        Descriptors are duplicated while they wait, so the caller may close its own at once.
        """
        if self.closed:
            return False
        data = encode(message)
        if not self._outbox and self._send(data, fds):
            return not self.closed
        if len(self._outbox) >= _MAX_OUTBOX:
            self.dropped += 1
            return False
        self._outbox.append((data, [os.dup(fd) for fd in fds]))
        return True

    def flush(self) -> None:
        """Send what waited, as far as there is room."""
        while self._outbox and not self.closed:
            data, fds = self._outbox[0]
            if not self._send(data, fds):
                return
            self._outbox.popleft()
            for fd in fds:
                os.close(fd)

    def _send(self, data: bytes, fds: Sequence[int]) -> bool:
        try:
            if fds:
                socket.send_fds(self.sock, [data], fds)
            else:
                self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            self.closed = True
        return True

    def receive(self) -> list[tuple[Message, list[int]]]:
        """Return what has arrived, each message with the descriptors that came along (close on exec, the caller's to close)."""
        arrived: list[tuple[Message, list[int]]] = []
        for _ in range(_MAX_BATCH):
            if self.closed:
                break
            try:
                data, fds = self._receive()
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self.closed = True
                break
            if not data and not fds:
                self.closed = True
                break
            message = decode(data)
            if message is None:
                for fd in fds:
                    os.close(fd)
                continue
            arrived.append((message, fds))
        return arrived

    def _receive(self) -> tuple[bytes, list[int]]:
        # Not socket.recv_fds: Python 3.11 passes no flags on, and a descriptor that is not close-on-exec would leak into every child.
        data, ancillary, _, _ = self.sock.recvmsg(
            MAX_MESSAGE_BYTES, socket.CMSG_SPACE(4 * MAX_DESCRIPTORS), socket.MSG_CMSG_CLOEXEC
        )
        fds = []
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds += [
                    int.from_bytes(payload[i : i + 4], sys.byteorder)
                    for i in range(0, len(payload) - 3, 4)
                ]
        return data, fds

    def close(self) -> None:
        """Close the socket and what waited with it."""
        self.closed = True
        for _, fds in self._outbox:
            for fd in fds:
                os.close(fd)
        self._outbox.clear()
        self.sock.close()
