"""A server that fails on purpose, in the way that the path of a request names, and counts what it has executed.

A request is executed when its work is done: from then on repeating it does it twice. What was executed, and how often,
is told by `executions` with the value of `X-Request-Id`, whatever came of the answer.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from typing import TYPE_CHECKING, Self

import misbehaviour  # noqa: F401 # fills FAULTS
from misbehaving_talk import FAULTS, Left, Talk

if TYPE_CHECKING:
    from collections.abc import Callable

_BOUND_S = 60.0


class Misbehaving:
    """The server, a thread for each connection; `port` answers, `refusing_port` refuses, `deaf_port` never completes a connect.

    With `always` it does that whatever the path says: "ok" makes the good endpoint beside a bad one.
    """

    def __init__(self, always: str = "") -> None:
        self._always = always
        self.executions: Counter[str] = Counter()
        self.arrivals: Counter[str] = Counter()
        self.connections = 0
        self.sent_bytes: Counter[str] = Counter()
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._refusing = socket.socket()
        self._refusing.bind(("127.0.0.1", 0))
        self.refusing_port: int = self._refusing.getsockname()[1]
        self._deaf = _deaf()
        self.deaf_port: int = self._deaf[0].getsockname()[1]

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        for sock in (self._listener, *self._deaf):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        with self._lock:
            # Whoever holds such a descriptor closes it; until then it is nobody else's.
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_BOUND_S)
        for sock in (self._listener, self._refusing, *self._deaf):
            sock.close()

    def executed(self, request_id: str) -> None:
        """Note that the work of a request was done."""
        with self._lock:
            self.executions[request_id] += 1

    def arrived(self, name: str) -> None:
        """Note that the head of a request has come."""
        with self._lock:
            self.arrivals[name] += 1

    def sent(self, name: str, count: int) -> None:
        """Note how much of an answer the peer's kernel or ours has taken."""
        with self._lock:
            self.sent_bytes[name] += count

    def _start(self, target: Callable[..., None], *words: object) -> None:
        thread = threading.Thread(target=target, args=words, name="misbehaving", daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talk = Talk(self, sock)
        try:
            with contextlib.suppress(Left, OSError):
                while talk.next_request():
                    # What has no name here is not found.
                    FAULTS.get(self._always or talk.name, FAULTS["not-found"]).act(talk)
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()


def _deaf() -> list[socket.socket]:
    """A listener with a full backlog: whoever connects now waits for an answer to the first packet."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    full = [listener]
    for _ in range(3):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(listener.getsockname())
        full.append(sock)
    return full
