"""A watcher at the other end of a stream, and how long each mark takes to reach it."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from typing import TYPE_CHECKING

from bench.workbench import Bench, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

_BETWEEN_S = 0.02


class Stream:
    """Notes when each line of a stream came that has a mark in it."""

    def __init__(self, sock: socket.socket, request: bytes) -> None:
        self._sock = sock
        self._request = request
        self.seen: list[tuple[float, bytes]] = []
        self.begun = threading.Event()
        self.thread = threading.Thread(target=self._read, name="watcher", daemon=True)
        self.thread.start()

    def _read(self) -> None:
        self._sock.sendall(self._request)
        try:
            while data := self._sock.recv(65536):
                self.seen.append((time.monotonic(), data))
                self.begun.set()
        except OSError:
            return  # closed by the figure

    def close(self) -> None:
        """End the watch."""
        self._sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)
        self._sock.close()


def delays(
    bench: Bench,
    stream: Stream,
    write: Callable[[str], None],
    sought: Callable[[str], bytes] = str.encode,
) -> list[float]:
    """Milliseconds from before each write of a mark to its arrival at the watcher; `sought` is how the stream has the mark."""
    if not stream.begun.wait(10):
        raise http.client.HTTPException("the watch does not begin")
    found = []
    for number in range(bench.runs(100, 20)):
        mark = f"mark-{number:06d}"
        text = sought(mark)
        time.sleep(_BETWEEN_S)
        began = time.monotonic()
        write(mark)
        wait_for(lambda text=text: _when(stream, text) is not None, f"{mark} is seen")  # type: ignore[misc]
        seen = _when(stream, text)
        assert seen is not None
        found.append((seen - began) * 1e3)
    stream.close()
    return found


def _when(stream: Stream, text: bytes) -> float | None:
    return next((when for when, data in reversed(stream.seen) if text in data), None)
