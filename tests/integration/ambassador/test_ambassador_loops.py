"""Whoever asks the proxy for itself is told so, by whatever name, and nobody else pays for it."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from ambassador_edges import listening, run
from ambassador_instance import Ambassador
from free_ports import free_ports
from pillion.ambassador.connector import LOOP_DETECTED, ConnectFailed, Connector
from pillion.ambassador.snapshot import EndpointSpec

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def proxy() -> Iterator[tuple[Ambassador, int]]:
    (port,) = free_ports(1)
    head = f'proxy = {{ listen = "127.0.0.1:{port}", credentials = false }}'
    with Ambassador({}, head=head) as ambassador:
        yield ambassador, port


def asked(port: int, line: str, host: str) -> bytes:
    """The head of the answer to a request."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(f"{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            piece = sock.recv(65536)
            assert piece, data
            data += piece
        return data.partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_the_proxy_is_asked_for_itself(proxy: tuple[Ambassador, int], name: str) -> None:
    _, port = proxy
    there = f"{name}:{port}"
    for line in (f"GET http://{there}/", f"CONNECT {there}"):
        head = asked(port, line, there)
        assert head.startswith(b"HTTP/1.1 508 "), head
        assert b"pillion-reason: loop-detected" in head


def test_it_is_logged_once_and_others_go_on(proxy: tuple[Ambassador, int]) -> None:
    ambassador, port = proxy
    asked(port, f"GET http://127.0.0.1:{port}/once", f"127.0.0.1:{port}")
    record = ambassador.record(path="/once")
    assert (record["status"], record["reason"]) == (508, "loop-detected")
    with listening() as sock:
        other = sock.getsockname()[1]
        assert asked(port, f"CONNECT 127.0.0.1:{other}", "a").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("listens", "asked_for", "is_loop"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.2", True),
        ("127.0.0.2", "127.0.0.1", False),
    ],
)
def test_every_address_of_a_listener_is_its_own(
    listens: str, asked_for: str, *, is_loop: bool
) -> None:
    async def work() -> None:
        with listening(asked_for) as sock:
            port = sock.getsockname()[1]
            connector = Connector()
            connector.own = frozenset([(listens, port)])
            spec = EndpointSpec("a", asked_for, port)
            if is_loop:
                with pytest.raises(ConnectFailed) as failed:
                    await connector.connect(spec, asyncio.Protocol, timeout_s=5)
                assert failed.value.reason == LOOP_DETECTED
            else:
                transport, _ = await connector.connect(spec, asyncio.Protocol, timeout_s=5)
                transport.abort()

    run(work())
