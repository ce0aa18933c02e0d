"""Listeners on real sockets: who is accepted, when not, and what comes before a connection's first own byte."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ambassador_certificates import Authority
from ambassador_edges import Catcher, Edge, listening, run, until
from pillion.ambassador.connector import (
    CONNECT_FAILED,
    CONNECT_TIMEOUT,
    ConnectFailed,
    Connector,
)
from pillion.ambassador.proxy_protocol import Addresses, encode_v1, encode_v2
from pillion.ambassador.snapshot import EndpointSpec
from pillion.ambassador.tls import TlsClient, TlsServer

if TYPE_CHECKING:
    from pathlib import Path

    from pillion.ambassador.peer import Peer

WHO = Addresses("192.0.2.7", 4711, "198.51.100.1", 443)


class Site:
    """Keeps what its listener makes."""

    def __init__(self) -> None:
        self.made: list[Catcher] = []

    def factory(self, peer: Peer) -> Catcher:
        self.made.append(Catcher(peer))
        return self.made[-1]

    def ready(self, at: int) -> bool:
        return len(self.made) > at and self.made[at].transport is not None


def client(address: tuple[str, int]) -> socket.socket:
    """A connection that is made without a turn of the loop: the kernel's backlog is all it takes."""
    sock = socket.create_connection(address, timeout=10)
    sock.setblocking(False)
    return sock


def _is(counters: object, name: str, number: int) -> bool:
    return bool(getattr(counters, name) == number)


async def receive(sock: socket.socket) -> bytes:
    """What comes; b"" for an end as for a reset."""
    with contextlib.suppress(ConnectionResetError):
        return await asyncio.get_running_loop().sock_recv(sock, 100)
    return b""


def test_a_peer_is_known_by_both_ends() -> None:
    async def work() -> None:
        site = Site()
        async with Edge(site.factory) as edge:
            with client(edge.address) as sock:
                await until(lambda: site.ready(0), "the connection")
                peer = site.made[0].peer
                assert peer is not None
                assert (peer.address, peer.port) == sock.getsockname()
                assert (peer.server_address, peer.server_port) == edge.address
                assert (peer.scheme, peer.names, peer.listener) == (b"http", (), "test")
                assert str(peer) == f"127.0.0.1:{peer.port}"
                transport = site.made[0].transport
                assert transport is not None
                real = transport.get_extra_info("socket")
                assert real.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            await until(lambda: edge.counters.open == 0, "it to be gone")
            assert edge.counters.accepted == 1

    run(work())


def test_ipv4_on_a_dual_socket_has_one_name() -> None:
    async def work() -> None:
        site = Site()
        sock = socket.create_server(
            ("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=16
        )
        async with Edge(site.factory, sock=sock) as edge:
            with client(("127.0.0.1", edge.address[1])), client(("::1", edge.address[1])):
                await until(lambda: len(site.made) == 2, "both")
                found = {str(one.peer).rpartition(":")[0] for one in site.made}
                assert found == {"127.0.0.1", "[::1]"}

    run(work())


def test_what_is_paused_waits_in_the_backlog() -> None:
    async def work() -> None:
        site = Site()
        async with Edge(site.factory) as edge:
            edge.listener.pause()
            with client(edge.address) as sock:
                sock.send(b"early")
                for _ in range(20):
                    await asyncio.sleep(0.002)
                assert not site.made
                assert not edge.listener.accepting
                edge.listener.resume()
                await until(lambda: site.made and site.made[0].data == b"early", "its bytes")

    run(work())


def test_the_most_holds_and_room_is_taken_at_once() -> None:
    async def work() -> None:
        site = Site()
        async with Edge(site.factory, most=100) as edge, contextlib.AsyncExitStack() as stack:
            for _ in range(1000):
                stack.enter_context(client(edge.address))
            await until(lambda: len(site.made) == 100, "the first hundred")
            for _ in range(20):
                await asyncio.sleep(0.002)
            assert len(site.made) == 100
            assert edge.listener.open == 100
            assert edge.counters.full == 1
            for served in range(1000):
                assert edge.listener.open <= 100
                await until(partial(site.ready, served), "the next one")
                transport = site.made[served].transport
                assert transport is not None
                transport.close()
            await until(lambda: edge.counters.open == 0, "all to be gone")
            assert edge.counters.accepted == 1000

    run(work())


def test_workers_on_one_socket_share_what_comes() -> None:
    async def work() -> None:
        one, other = Site(), Site()
        sock = listening()
        async with (
            Edge(one.factory, sock=sock) as edge,
            Edge(other.factory, sock=sock.dup()) as second,
            contextlib.AsyncExitStack() as stack,
        ):
            for _ in range(100):
                stack.enter_context(client(edge.address))
            await until(lambda: len(one.made) + len(other.made) == 100, "all of them")
            assert len(one.made) >= 10
            assert len(other.made) >= 10
            assert edge.counters.open + second.counters.open == 100

    run(work())


@pytest.mark.parametrize("header", [encode_v1(WHO), encode_v2(WHO)])
@pytest.mark.parametrize("cut", ["whole", "bytes"])
def test_a_proxy_header_says_who_and_takes_no_byte_more(header: bytes, cut: str) -> None:
    async def work() -> None:
        site = Site()
        async with Edge(site.factory, proxy_protocol=True) as edge:
            with client(edge.address) as sock:
                loop = asyncio.get_running_loop()
                if cut == "whole":
                    await loop.sock_sendall(sock, header + b"GET /")
                else:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    for at in range(len(header)):
                        await loop.sock_sendall(sock, header[at : at + 1])
                        await asyncio.sleep(0.001)
                    await loop.sock_sendall(sock, b"GET /")
                await until(lambda: site.made and site.made[0].data == b"GET /", "the bytes")
                peer = site.made[0].peer
                assert peer is not None
                assert (peer.address, peer.port) == ("192.0.2.7", 4711)
                assert (peer.server_address, peer.server_port) == ("198.51.100.1", 443)

    run(work())


def test_a_proxy_header_must_be_there_and_must_be_good() -> None:
    bad = {
        "http": b"GET / HTTP/1.1\r\n\r\n",
        "tls": bytes.fromhex("16030102000100"),
        "bad address": b"PROXY TCP4 1.2.3.999 1.2.3.4 1 2\r\n",
        "endless": b"PROXY UNKNOWN " + b"x" * 200,
        "too long": encode_v2(WHO)[:14] + b"\xff\xff" + bytes(20),
    }

    async def work() -> None:
        site = Site()
        async with Edge(site.factory, proxy_protocol=True) as edge:
            loop = asyncio.get_running_loop()
            for count, (what, data) in enumerate(bad.items(), 1):
                with client(edge.address) as sock:
                    await loop.sock_sendall(sock, data)
                    assert await receive(sock) == b"", what
                await until(partial(_is, edge.counters, "proxy_refused", count), what)
            client(edge.address).close()
            await until(lambda: edge.counters.proxy_refused == len(bad) + 1, "who left")
            assert not site.made
            assert edge.counters.open == 0

    run(work())


def test_a_proxy_header_is_no_claim_where_none_is_expected() -> None:
    async def work() -> None:
        site = Site()
        async with Edge(site.factory) as edge:
            with client(edge.address) as sock:
                header = encode_v1(WHO)
                sock.send(header)
                await until(lambda: site.made and site.made[0].data == header, "the bytes")
                peer = site.made[0].peer
                assert peer is not None
                assert peer.address == "127.0.0.1"

    run(work())


def test_a_slow_proxy_header_and_a_silent_handshake_are_cut(tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("shop", dns=("shop.internal",))

    async def work() -> None:
        site = Site()
        tls = TlsServer(cert_file=pair.cert, key_file=pair.key)
        loop = asyncio.get_running_loop()
        async with Edge(site.factory, proxy_protocol=True, tls=tls, handshake_s=0.3) as edge:
            began = loop.time()
            with (
                client(edge.address) as silent,
                client(edge.address) as halfway,
                client(edge.address) as dripping,
            ):
                halfway.send(encode_v1(WHO))  # and then no handshake
                with contextlib.suppress(OSError):
                    for byte in encode_v1(WHO)[:-1]:
                        dripping.send(bytes((byte,)))
                        await asyncio.sleep(0.01)
                for sock in (silent, halfway, dripping):
                    assert await receive(sock) == b""
            assert loop.time() - began < 5
            await until(lambda: edge.counters.open == 0, "all to be gone")
            assert edge.counters.handshake_timeouts == 3
            assert edge.listener.opening == 0
            assert not site.made

    run(work())


def test_proxy_header_then_tls_from_end_to_end(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("orders", dns=("orders.internal",))

    async def work() -> None:
        site = Site()
        tls = TlsServer(cert_file=pair.cert, key_file=pair.key)
        async with Edge(site.factory, proxy_protocol=True, tls=tls) as edge:
            spec = EndpointSpec(
                id="1", address="127.0.0.1", port=edge.address[1], host="orders.internal"
            )
            transport, _ = await Connector().connect(
                spec,
                Catcher,
                timeout_s=10,
                tls=TlsClient(ca_file=authority.file),
                proxy_header=encode_v2(WHO),
            )
            transport.write(b"hello")
            await until(lambda: site.made and site.made[0].data == b"hello", "the bytes")
            peer = site.made[0].peer
            assert peer is not None
            assert (peer.address, peer.scheme) == ("192.0.2.7", b"https")
            transport.abort()
            await until(lambda: edge.counters.open == 0, "it to be gone")

    run(work())


def test_closing_cuts_what_is_not_handed_on() -> None:
    async def work() -> None:
        site = Site()
        async with Edge(site.factory, proxy_protocol=True) as edge:
            with client(edge.address) as sock:
                await until(lambda: edge.listener.opening == 1, "the connection")
                edge.listener.close()
                await edge.listener.settled(5.0)
                assert await receive(sock) == b""
                assert (edge.listener.opening, edge.counters.open) == (0, 0)
                edge.listener.resume()
                assert not edge.listener.accepting, "closed is closed"

    run(work())


# Connecting.


def test_why_there_is_no_connection(tmp_path: Path) -> None:
    async def work() -> None:
        connector = Connector()
        with listening() as gone:
            port = gone.getsockname()[1]
        refused = EndpointSpec(id="1", address="127.0.0.1", port=port)
        with pytest.raises(ConnectFailed, match="refused") as failed:
            await connector.connect(refused, Catcher, timeout_s=5)
        assert failed.value.reason == CONNECT_FAILED
        nowhere = EndpointSpec(id="2", address=f"unix:{tmp_path}/none")
        with pytest.raises(ConnectFailed, match="no such file") as failed:
            await connector.connect(nowhere, Catcher, timeout_s=5)
        assert failed.value.reason == CONNECT_FAILED
        with listening() as sock:  # connects, and says nothing
            silent = EndpointSpec(id="3", address="127.0.0.1", port=sock.getsockname()[1])
            tls = TlsClient(verify=False)
            with pytest.raises(ConnectFailed, match=r"within 0.2 s") as failed:
                await connector.connect(silent, Catcher, timeout_s=0.2, tls=tls)
            assert failed.value.reason == CONNECT_TIMEOUT

    run(work())


def test_a_unix_socket_is_an_endpoint_too(tmp_path: Path) -> None:
    async def work() -> None:
        site = Site()
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(tmp_path / "app"))
        sock.listen(16)
        async with Edge(site.factory, sock=sock) as edge:
            spec = EndpointSpec(id="1", address=f"unix:{tmp_path}/app")
            transport, _ = await Connector().connect(spec, Catcher, timeout_s=5)
            transport.write(b"hello")
            await until(lambda: site.made and site.made[0].data == b"hello", "the bytes")
            assert str(site.made[0].peer) == "unix"
            transport.close()
            await until(lambda: edge.counters.open == 0, "it to be gone")

    run(work())
