"""Answers with two readings: the client gets one answer or none, and nothing of them is left for whoever comes next."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from typing import TYPE_CHECKING, NamedTuple

import pytest

from ambassador_running import listeners, start
from instance import Host

if TYPE_CHECKING:
    from collections.abc import Iterator

_BOUND_S = 40.0
OK = b"HTTP/1.1 200 OK\r\n"
CL = b"Content-Length: 3\r\n"
TE = b"Transfer-Encoding: chunked\r\n"
SPLIT = OK + b"Content-Length: 5\r\n\r\nsplit"
END = b"0\r\n\r\n"

REFUSED = {
    "CL.TE": OK + CL + TE + b"\r\n" + END + SPLIT,
    "CL twice": OK + CL + b"Content-Length: 0\r\n\r\nabc" + SPLIT,
    "CL list": OK + b"Content-Length: 3, 3\r\n\r\nabc" + SPLIT,
    "CL plus": OK + b"Content-Length: +3\r\n\r\nabc" + SPLIT,
    "CL negative": OK + b"Content-Length: -1\r\n\r\n" + SPLIT,
    "CL empty": OK + b"Content-Length:\r\n\r\n" + SPLIT,
    "CL space before the colon": OK + b"Content-Length : 3\r\n\r\nabc" + SPLIT,
    "TE unknown": OK + b"Transfer-Encoding: cow\r\n\r\n" + END + SPLIT,
    "TE list": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + END + SPLIT,
    "TE twice": OK + TE + TE + b"\r\n" + END + SPLIT,
    "TE of HTTP/1.0": b"HTTP/1.0 200 OK\r\n" + TE + b"\r\n" + END + SPLIT,
    "folded": OK + b"Content-Length:\r\n 3\r\n\r\nabc" + SPLIT,
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc" + SPLIT,
    "bare CR in a value": OK + b"X: a\rb\r\n" + CL + b"\r\nabc" + SPLIT,
    "NUL in a value": OK + b"X: a\x00b\r\n" + CL + b"\r\nabc" + SPLIT,
    "204 with a length": b"HTTP/1.1 204 No Content\r\n" + CL + b"\r\nabc" + SPLIT,
    "204 with chunks": b"HTTP/1.1 204 No Content\r\n" + TE + b"\r\n" + END + SPLIT,
    "103 with a length": b"HTTP/1.1 103 Early Hints\r\n" + CL + b"\r\nabc" + SPLIT,
    "101 that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" + SPLIT,
    "no HTTP": b"SSH-2.0-x\r\n\r\n" + SPLIT,
    "HTTP/2": b"HTTP/2.0 200 OK\r\n" + CL + b"\r\nabc" + SPLIT,
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n" + CL + b"\r\nabc" + SPLIT,
    "Connection names the framing": OK + b"Connection: content-length\r\n" + CL + b"\r\nabc" + SPLIT,
}  # fmt: skip
"""Answered 502 `upstream-protocol`."""

CUT = {
    "chunk size with 0x": OK + TE + b"\r\n0x3\r\nabc\r\n" + END + SPLIT,
    "chunk too long": OK + TE + b"\r\n2\r\nabc\r\n" + END + SPLIT,
    "chunk line ended by LF": OK + TE + b"\r\n3\nabc\r\n" + END + SPLIT,
    "Content-Length as a trailer": OK + TE + b"\r\n3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n" + SPLIT,
}  # fmt: skip
"""Wrong within the body: the client sees that it is cut off, or a 502 where nothing was sent yet."""

TAKEN = {
    "two answers": (OK + CL + b"\r\nabc" + SPLIT, b"abc"),
    "an answer with garbage behind": (OK + CL + b"\r\nabc\r\n\r\n", b"abc"),
    "chunks with an answer behind": (OK + TE + b"\r\n3\r\nabc\r\n" + END + SPLIT, b"abc"),
    "an empty answer and another": (OK + b"Content-Length: 0\r\n\r\n" + SPLIT, b""),
    "304 with a body": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\nabc" + SPLIT, b""),
    "204 and another": (b"HTTP/1.1 204 No Content\r\n\r\n" + SPLIT, b""),
    "an interim answer before": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + CL + b"\r\nabc", b"abc"),
    "no length": (OK + b"\r\nabc" + SPLIT, b"abc" + SPLIT),
}  # fmt: skip
"""One answer is right; whatever stands behind it goes with the connection."""


class World(NamedTuple):
    """The local port, and what the upstream says to whoever does not ask for /good."""

    address: str
    said: list[bytes]


def _serve(sock: socket.socket, said: list[bytes]) -> None:
    with sock, contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := sock.recv(65536):
            if data.startswith(b"GET /good"):
                sock.sendall(OK + b"Content-Length: 4\r\n\r\ngood")
                continue
            sock.sendall(said[0])
            if said[0].startswith(OK + b"\r\n"):
                return  # only the end of the connection ends this one


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """An upstream that says what it is told to."""
    listener = socket.create_server(("127.0.0.1", 0))
    said = [b""]

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                threading.Thread(target=_serve, args=(sock, said), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        with Host() as host:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            one = f'[ambassador.upstreams.one]\nurls = ["{url}"]\nretry = "off"\nbreaker = "off"\n'
            bound = listeners(start(host, f'[agent]\nwait = "20s"\n{one}'))
            yield World(bound["upstream:one"], said)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _ask(world: World, path: str) -> tuple[int, str | None, bytes]:
    """Status, reason and body. Raise http.client.IncompleteRead or ConnectionError for an answer that was cut."""
    connection = http.client.HTTPConnection(world.address, timeout=_BOUND_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers["pillion-reason"], answer.read()
    finally:
        connection.close()


def _nothing_is_left(world: World) -> None:
    for _ in range(2):
        assert _ask(world, "/good") == (200, None, b"good")


@pytest.mark.parametrize("case", REFUSED)
def test_answers_with_two_readings_are_none(world: World, case: str) -> None:
    world.said[0] = REFUSED[case]
    status, reason, _ = _ask(world, "/bad")
    assert (status, reason) == (502, "upstream-protocol")
    _nothing_is_left(world)


@pytest.mark.parametrize("case", CUT)
def test_answers_that_go_wrong_in_their_body_are_cut(world: World, case: str) -> None:
    world.said[0] = CUT[case]
    try:
        status, reason, _ = _ask(world, "/bad")
    except (http.client.HTTPException, ConnectionError):
        pass
    else:
        assert (status, reason) == (502, "upstream-protocol")
    _nothing_is_left(world)


@pytest.mark.parametrize("case", TAKEN)
def test_what_stands_behind_an_answer_reaches_nobody(world: World, case: str) -> None:
    world.said[0], body = TAKEN[case]
    status, reason, got = _ask(world, "/bad")
    assert (reason, got) == (None, body)
    assert status in (200, 204, 304)
    _nothing_is_left(world)
