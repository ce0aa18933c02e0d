"""WebSocket through the ambassador, with a standard library at both ends."""

from __future__ import annotations

import contextlib
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import Server, ServerConnection, serve

from ambassador_instance import Ambassador
from instance import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.http11 import Request, Response


def _echo(connection: ServerConnection) -> None:
    for message in connection:
        if message == "bye":
            connection.close(4000, "as you wish")
            return
        connection.send(message)


def _refuse(connection: ServerConnection, request: Request) -> Response | None:
    if request.path == "/refused":
        return connection.respond(HTTPStatus.FORBIDDEN, "not you\n")
    return None


@contextlib.contextmanager
def _serving() -> Iterator[int]:
    with serve(_echo, "127.0.0.1", 0, process_request=_refuse, max_size=16 << 20) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield _port(server)
        finally:
            server.shutdown()
            thread.join()


def _port(server: Server) -> int:
    return int(server.socket.getsockname()[1])


@pytest.fixture(scope="module")
def ambassador() -> Iterator[Ambassador]:
    """An upstream that echoes."""
    with _serving() as port:
        text = f'urls = ["http://127.0.0.1:{port}"]\ntimeout = {{ idle = "10s" }}'
        with Ambassador({"echo": text}, head="proxy = { env = true }") as running:
            yield running


def _url(ambassador: Ambassador, path: str = "/chat") -> str:
    return f"ws://127.0.0.1:{ambassador.ports['echo']}{path}"


def test_messages_of_every_size_come_back(ambassador: Ambassador) -> None:
    with connect(_url(ambassador), proxy=None, max_size=16 << 20) as client:
        for message in ("", "a", "ü" * 1000, bytes(65536), bytes(4 << 20), "last"):
            client.send(message)
            assert client.recv(timeout=20) == message
        assert client.ping().wait(10)


def test_the_end_of_the_conversation_arrives_at_both(ambassador: Ambassador) -> None:
    path = "/chat/bye"
    with connect(_url(ambassador, path), proxy=None) as client:
        client.send("bye")
        with pytest.raises(Exception, match="4000") as ended:
            client.recv(timeout=10)
        assert not isinstance(ended.value, ConnectionClosedOK)
    record = ambassador.record(path=path)
    assert (record["status"], record["upstream"]) == (101, "echo")
    assert record["bytes_in"] > 0
    assert record["bytes_out"] > 0


def test_an_upgrade_that_is_refused_is_an_answer_like_any_other(ambassador: Ambassador) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(_url(ambassador, "/refused"), proxy=None):
        pass
    assert refused.value.response.status_code == 403
    assert refused.value.response.body == b"not you\n"


def test_many_conversations_at_once(ambassador: Ambassador) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(_url(ambassador), proxy=None)) for _ in range(50)]
        for number, client in enumerate(clients):
            client.send(f"{number}")
        assert [client.recv(timeout=10) for client in clients] == [f"{n}" for n in range(50)]


def test_by_the_forward_proxy(ambassador: Ambassador) -> None:
    proxy = ambassador.environment()["http_proxy"]
    with connect("ws://echo:80/chat", proxy=proxy) as client:
        client.send("through a tunnel")
        assert client.recv(timeout=10) == "through a tunnel"


def test_what_is_left_of_a_conversation_is_closed(ambassador: Ambassador) -> None:
    before = ambassador.open_files()
    for _ in range(10):
        with connect(_url(ambassador), proxy=None) as client:
            client.send("hello")
            assert client.recv(timeout=10) == "hello"
    wait_for("both ends are closed", lambda: ambassador.open_files() <= before + 2)
