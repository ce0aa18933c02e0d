"""Servers behind a proxy that can be told apart: each answers with its name, so that a client sees whom it was sent to."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.workbench import Bench

_PIECE = 4096


class Member:
    """A server on a free port of loopback, with a thread for each connection: there are few."""

    def __init__(self, bench: Bench, name: str) -> None:
        self._name = name.encode()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        bench.stack.callback(self._listener.close)
        threading.Thread(target=self._accept, name=f"member {name}", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # closed with the figure
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(self._name), self._name)
        had = b""
        with sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while data := sock.recv(_PIECE):
                    *whole, had = (had + data).split(b"\r\n\r\n")
                    sock.sendall(answer * len(whole))
            except OSError:
                return  # the proxy has closed it


def who_answers(port: int, path: str = "/") -> bytes:
    """The body that answers at `port`, on a connection of its own: the name of a member; empty when nobody does."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n".encode())
            said = b""
            while data := sock.recv(_PIECE):
                said += data
    except OSError:
        return b""
    return said.partition(b"\r\n\r\n")[2] if said.startswith(b"HTTP/1.1 200") else b""
