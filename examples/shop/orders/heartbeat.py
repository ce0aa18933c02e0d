"""READY and heartbeats by the sd_notify protocol (sd_notify(3)): a datagram to the socket that NOTIFY_SOCKET names."""

import contextlib
import os
import socket
import time


class Heartbeat:
    """Beats when asked to, and no more often than half the time that the watchdog allows."""

    def __init__(self) -> None:
        self._path = os.environ.get("NOTIFY_SOCKET", "")
        self._between_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 2e6
        self._next = 0.0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def ready(self) -> None:
        """Say that the service takes orders."""
        self._say("READY=1\nSTATUS=taking orders")

    def beat(self) -> None:
        """Say that the service is alive, when it is time to."""
        now = time.monotonic()
        if self._between_s and now >= self._next:
            self._next = now + self._between_s
            self._say("WATCHDOG=1")

    def _say(self, text: str) -> None:
        if self._path:
            # Nobody there, or a full queue: the next beat is soon.
            with contextlib.suppress(OSError):
                self._socket.sendto(text.encode(), self._path)
