"""A connection is used again only where its endpoint has said that it may be."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from ambassador_running import ask, listeners, start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from instance import Host

_ANSWERS = {
    "says close": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    "speaks HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "keeps it open": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
}


@contextlib.contextmanager
def _server(answer: bytes) -> Iterator[tuple[int, list[int]]]:
    """A server that never closes; yields its port, and the number of requests on each connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    counts: list[int] = []

    def serve(sock: socket.socket, at: int) -> None:
        with sock, contextlib.suppress(OSError):
            while sock.recv(65536):
                counts[at] += 1
                sock.sendall(answer)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                counts.append(0)
                threading.Thread(target=serve, args=(sock, len(counts) - 1), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listener.getsockname()[1], counts
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize(
    ("which", "requests"),
    [("says close", [1, 1, 1]), ("speaks HTTP/1.0", [1, 1, 1]), ("keeps it open", [3])],
)
def test_an_endpoint_that_closes_gets_no_second_request(
    host: Host, which: str, requests: list[int]
) -> None:
    with _server(_ANSWERS[which]) as (port, counts):
        settings = f'[ambassador.upstreams.one]\nurls = ["http://127.0.0.1:{port}"]\n'
        address = listeners(start(host, f'[agent]\nwait = "20s"\n{settings}'))["upstream:one"]
        for _ in range(3):
            assert ask(address) == (200, b"ok")
        assert counts == requests
