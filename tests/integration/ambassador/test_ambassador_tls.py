"""TLS at both ends, with real certificates and the standard library's own TLS at the other one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any, Self

import pytest

from ambassador_certificates import Authority
from ambassador_edges import Catcher, Edge, run, until
from pillion.ambassador.connector import TLS_FAILED, ConnectFailed, Connector
from pillion.ambassador.snapshot import EndpointSpec
from pillion.ambassador.tls import TlsClient, TlsServer
from pillion.ambassador.tunnel import EOF, Relay, RelayEnd, Tunnels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ambassador_certificates import Pair
    from pillion.ambassador.peer import Peer


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def server_tls(pair: Pair, **options: Any) -> TlsServer:
    return TlsServer(cert_file=pair.cert, key_file=pair.key, **options)


class Echo(Catcher):
    """Sends back what comes."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        assert self.transport is not None
        self.transport.write(data)


class Client:
    """A blocking TLS client of the standard library, for use in a thread."""

    def __init__(
        self, address: tuple[str, int], authority: Authority, pair: Pair | None = None, **more: Any
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(authority.file)
        context.set_alpn_protocols(more.pop("alpn", ["http/1.1"]))
        if "most" in more:
            context.maximum_version = more.pop("most")
        if pair is not None:
            context.load_cert_chain(pair.cert, pair.key)
        raw = socket.create_connection(address, timeout=10)
        if "first" in more:
            raw.sendall(more.pop("first"))
        self.sock = context.wrap_socket(raw, server_hostname=more.pop("name", "shop.internal"))

    def ask(self, data: bytes) -> bytes:
        """What comes back; empty when the server closes, or refuses us."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            self.sock.sendall(data)
            return self.sock.recv(65536)
        return b""

    def serial(self) -> object:
        peercert = self.sock.getpeercert()
        assert peercert is not None
        return peercert["serialNumber"]

    def close(self) -> None:
        self.sock.close()


def test_a_client_gets_http_1_and_never_2(authority: Authority) -> None:
    pair = authority.issue("shop", dns=("shop.internal",))
    made: list[Echo] = []

    def factory(peer: Peer) -> Echo:
        made.append(Echo(peer))
        return made[-1]

    async def work() -> None:
        async with Edge(factory, tls=server_tls(pair)) as edge:
            for offered, wanted in ((["h2", "http/1.1"], "http/1.1"), (["h2"], None)):
                client = await asyncio.to_thread(Client, edge.address, authority, alpn=offered)
                assert client.sock.selected_alpn_protocol() == wanted
                assert await asyncio.to_thread(client.ask, b"hello") == b"hello"
                client.close()
            peer = made[0].peer
            assert peer is not None
            assert peer.scheme == b"https"
            assert peer.names == ()
            await until(lambda: edge.counters.open == 0, "both to be gone")

    run(work())


@pytest.mark.parametrize("asks_for_clients", [False, True])
def test_a_session_is_taken_up_again_but_never_where_clients_are_verified(
    authority: Authority, asks_for_clients: bool
) -> None:
    pair = authority.issue("shop", dns=("shop.internal",))
    tls = server_tls(pair, client_ca_file=authority.file if asks_for_clients else None)
    context = ssl.create_default_context(cafile=authority.file)
    context.load_cert_chain(pair.cert, pair.key)

    def connect(address: tuple[str, int], session: ssl.SSLSession | None) -> tuple[bool, Any]:
        with (
            socket.create_connection(address, timeout=10) as raw,
            context.wrap_socket(raw, server_hostname="shop.internal", session=session) as sock,
        ):
            sock.sendall(b"hello")  # a ticket comes before the answer
            assert sock.recv(100) == b"hello"
            return bool(sock.session_reused), sock.session

    async def work() -> None:
        async with Edge(Echo, tls=tls) as edge:
            session = None
            for turn in range(3):
                reused, session = await asyncio.to_thread(connect, edge.address, session)
                assert reused is (turn > 0 and not asks_for_clients)

    run(work())


def test_an_old_version_is_refused_where_a_newer_is_asked_for(authority: Authority) -> None:
    pair = authority.issue("shop", dns=("shop.internal",))

    async def work() -> None:
        async with Edge(Echo, tls=server_tls(pair, min_version="1.3")) as edge:
            with pytest.raises(ssl.SSLError):
                await asyncio.to_thread(
                    Client, edge.address, authority, most=ssl.TLSVersion.TLSv1_2
                )
            await until(lambda: edge.counters.handshake_errors == 1, "the refusal")

    run(work())


def test_clients_show_a_certificate_with_an_allowed_name(
    authority: Authority, tmp_path: Path
) -> None:
    pair = authority.issue("shop", dns=("shop.internal",))
    stranger = Authority(tmp_path, "stranger")
    peers: list[Peer] = []

    def factory(peer: Peer) -> Echo:
        peers.append(peer)
        return Echo(peer)

    async def answer(edge: Edge, client: Pair | None, **more: Any) -> bytes:
        def ask() -> bytes:
            try:
                one = Client(edge.address, authority, client, **more)
            except (ssl.SSLError, ConnectionError):
                return b""
            try:
                return one.ask(b"hi")
            finally:
                one.close()

        return await asyncio.to_thread(ask)

    async def work() -> None:
        tls = server_tls(
            pair,
            client_ca_file=authority.file,
            allowed_names=("store.internal", "spiffe://shop/ns/*"),
        )
        async with Edge(factory, tls=tls) as edge:
            good = authority.issue("good", dns=("store.internal", "other.internal"))
            assert await answer(edge, good) == b"hi"
            assert peers[-1].names == ("store.internal", "other.internal")
            by_uri = authority.issue("uri", uris=("spiffe://shop/ns/store",))
            assert await answer(edge, by_uri) == b"hi"
            by_cn = authority.issue("cn", common_name="store.internal")
            assert await answer(edge, by_cn) == b"hi"
            accepted = len(peers)
            refused = {
                "no certificate": None,
                "another name": authority.issue("other", dns=("other.internal",)),
                # A CN does not count beside a SAN.
                "name in the CN alone": authority.issue(
                    "both", dns=("other.internal",), common_name="store.internal"
                ),
                "expired": authority.issue("old", dns=("store.internal",), valid_days=-1),
                "another authority": stranger.issue("strange", dns=("store.internal",)),
            }
            for what, client in refused.items():
                assert await answer(edge, client) == b"", what
                # TLS 1.2 tells at another moment.
                assert await answer(edge, client, most=ssl.TLSVersion.TLSv1_2) == b"", what
            assert len(peers) == accepted, "a refused client got a protocol"
            await until(lambda: edge.counters.open == 0, "all to be gone")
            assert edge.counters.names_refused == 4
            assert edge.counters.handshake_errors == 6

    run(work())


def test_new_files_serve_new_connections_and_a_session_under_way_goes_on(
    authority: Authority,
) -> None:
    pair = authority.issue("shop", dns=("shop.internal",))
    tls = server_tls(pair)

    async def work() -> None:
        async with Edge(Echo, tls=tls) as edge:
            old = await asyncio.to_thread(Client, edge.address, authority)
            pair.replace_by(authority.issue("next", dns=("shop.internal",)))
            stale = [tls.stale]
            tls.take(tls.build())
            assert [*stale, tls.stale] == [True, False]
            new = await asyncio.to_thread(Client, edge.address, authority)
            assert new.serial() != old.serial()
            assert await asyncio.to_thread(old.ask, b"still here") == b"still here"
            assert await asyncio.to_thread(new.ask, b"me too") == b"me too"
            old.close()
            new.close()

    run(work())


# Towards upstreams.


class Upstream:
    """A blocking TLS server in a thread that does one thing with its one connection."""

    def __init__(
        self, pair: Pair, deed: Callable[[ssl.SSLSocket], None], client_ca: str | None = None
    ) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pair.cert, pair.key)
        self._context.sni_callback = self._named
        if client_ca is not None:
            self._context.load_verify_locations(client_ca)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self.names: list[str | None] = []
        self.clients: list[object] = []
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.spec = EndpointSpec(id="1", address="127.0.0.1", port=self._sock.getsockname()[1])
        self._deed = deed
        self._thread = threading.Thread(target=self._serve)

    def _named(self, _sock: object, name: str | None, _context: object) -> None:
        self.names.append(name)

    def _serve(self) -> None:
        self._sock.settimeout(10)
        with contextlib.suppress(OSError):
            raw, _ = self._sock.accept()
            with raw:
                raw.settimeout(10)
                with self._context.wrap_socket(raw, server_side=True) as sock:
                    self.clients.append(sock.getpeercert())
                    self._deed(sock)

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        # An abort takes a turn of the loop.
        await until(lambda: not self._thread.is_alive(), "the server to end")
        self._thread.join()
        self._sock.close()


def nothing(sock: ssl.SSLSocket) -> None:
    """Wait for the end."""
    sock.recv(1)


def closes_in_order(sock: ssl.SSLSocket) -> None:
    sock.sendall(b"whole")
    sock.unwrap()


def cuts(sock: ssl.SSLSocket) -> None:
    """The connection ends, the TLS does not."""
    sock.sendall(b"whole")
    sock.shutdown(socket.SHUT_WR)
    sock.close()


async def connect(upstream: Upstream, tls: TlsClient, name: str = "orders.internal") -> Catcher:
    transport, caught = await Connector().connect(
        upstream.spec, Catcher, timeout_s=10, tls=tls, server_name=name
    )
    assert caught.transport is transport
    return caught


def test_servers_are_verified_and_named(authority: Authority, tmp_path: Path) -> None:
    pair = authority.issue("orders", dns=("orders.internal",), uris=("spiffe://shop/orders",))
    stranger = Authority(tmp_path, "stranger")
    expired = authority.issue("old", dns=("orders.internal",), valid_days=-1)

    def trusts(**options: Any) -> TlsClient:
        return TlsClient(ca_file=authority.file, **options)

    good: list[tuple[Pair, TlsClient, str]] = [
        (pair, trusts(), "orders.internal"),
        (pair, TlsClient(verify=False), "whatever.internal"),
        (expired, TlsClient(verify=False), "whatever.internal"),
        (pair, trusts(names=("spiffe://shop/*",)), "10.0.0.7"),
        (pair, trusts(names=("x", "orders.internal")), "x.internal"),
    ]
    bad: list[tuple[Pair, TlsClient, str, str]] = [
        (pair, trusts(), "store.internal", "mismatch"),
        (pair, trusts(names=("store.internal",)), "orders.internal", "not of store.internal"),
        (pair, TlsClient(ca_file=stranger.file), "orders.internal", "unable to get local issuer"),
        (expired, trusts(), "orders.internal", "expired"),
    ]

    async def work() -> None:
        for shown, tls, name in good:
            async with Upstream(shown, nothing) as upstream:
                caught = await connect(upstream, tls, name)
                assert caught.transport is not None
                caught.transport.abort()
                assert upstream.names == [None if name == "10.0.0.7" else name]
        for shown, tls, name, why in bad:
            async with Upstream(shown, nothing) as upstream:
                with pytest.raises(ConnectFailed, match=why) as failed:
                    await connect(upstream, tls, name)
                assert failed.value.reason == TLS_FAILED
                assert str(failed.value).startswith("cannot ")

    run(work())


def test_our_own_certificate_is_shown(authority: Authority) -> None:
    pair = authority.issue("orders", dns=("orders.internal",))
    mine = authority.issue("shop", dns=("shop.internal",))
    tls = TlsClient(ca_file=authority.file, cert_file=mine.cert, key_file=mine.key)

    async def work() -> None:
        async with Upstream(pair, closes_in_order, client_ca=authority.file) as upstream:
            caught = await connect(upstream, tls)
            await until(lambda: caught.lost, "the end")
            assert caught.data == b"whole"
            (shown,) = upstream.clients
            assert "shop.internal" in str(shown)

    run(work())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_truncation_is_told_from_an_end(authority: Authority, version: ssl.TLSVersion) -> None:
    """What tls.py says that uvloop tells."""
    pair = authority.issue("orders", dns=("orders.internal",))
    tls = TlsClient(ca_file=authority.file)
    tls.context.maximum_version = version

    async def work() -> None:
        async with Upstream(pair, closes_in_order) as upstream:
            caught = await connect(upstream, tls)
            await until(lambda: caught.lost, "the end")
            assert (bytes(caught.data), caught.eof, caught.error) == (b"whole", True, None)
        async with Upstream(pair, cuts) as upstream:
            caught = await connect(upstream, tls)
            await until(lambda: caught.lost, "the end")
            assert (bytes(caught.data), caught.eof, caught.error) == (b"whole", False, None)

    run(work())


def test_a_slow_reader_loses_nothing_when_the_server_ends(authority: Authority) -> None:
    pair = authority.issue("orders", dns=("orders.internal",))
    size = 3_000_000
    gone = threading.Event()

    def much(sock: ssl.SSLSocket) -> None:
        sock.sendall(bytes(size))
        with contextlib.suppress(OSError):
            sock.unwrap()
        gone.set()

    class Sips(Catcher):
        """Pauses after each piece."""

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            assert self.transport is not None
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(0.005, self.transport.resume_reading)

    async def work() -> None:
        tls = TlsClient(ca_file=authority.file)
        async with Upstream(pair, much) as upstream:
            _, caught = await Connector().connect(
                upstream.spec, Sips, timeout_s=10, tls=tls, server_name="orders.internal"
            )
            await until(lambda: caught.lost, "the end")
            assert len(caught.data) == size
            assert caught.eof

    run(work())


def test_the_end_of_a_held_reader_is_kept(authority: Authority) -> None:
    """Everything has arrived, close_notify and end of file too, before the reader goes on."""
    pair = authority.issue("orders", dns=("orders.internal",))
    done = threading.Event()

    def little(sock: ssl.SSLSocket) -> None:
        sock.recv(1)
        sock.sendall(bytes(10_000))
        with contextlib.suppress(OSError):
            sock.setblocking(False)
            sock.unwrap()
        done.set()

    async def work() -> None:
        tls = TlsClient(ca_file=authority.file)
        async with Upstream(pair, little) as upstream:
            caught = await connect(upstream, tls)
            transport = caught.transport
            assert transport is not None
            transport.pause_reading()
            transport.write(b"x")
            await until(done.is_set, "the server to be done")
            for _ in range(50):
                await asyncio.sleep(0.005)
            assert not caught.data
            assert not caught.lost
            transport.resume_reading()
            await until(lambda: caught.lost, "the end")
            assert len(caught.data) == 10_000
            assert caught.eof

    run(work())


def test_a_tunnel_with_tls_at_one_end_flushes_and_closes(authority: Authority) -> None:
    pair = authority.issue("orders", dns=("orders.internal",))

    def answers(sock: ssl.SSLSocket) -> None:
        assert sock.recv(100) == b"question"
        sock.sendall(bytes(500_000))
        sock.unwrap()

    async def work() -> None:
        tls = TlsClient(ca_file=authority.file, alpn=())
        made: list[Catcher] = []

        def factory(peer: Peer) -> Catcher:
            made.append(Catcher(peer))
            return made[-1]

        async with Upstream(pair, answers) as upstream, Edge(factory) as edge:
            reader, writer = await asyncio.open_connection(*edge.address)
            await until(lambda: made and made[0].transport, "the client")
            a = made[0].transport
            caught = await connect(upstream, tls)
            b = caught.transport
            assert a is not None
            assert b is not None
            ends: list[RelayEnd] = []
            tunnels = Tunnels()
            Relay(a, b, idle_s=30.0, ended=ends.append, tunnels=tunnels)
            writer.write(b"question")
            assert len(await reader.read()) == 500_000
            writer.close()
            await until(lambda: ends, "the end of the tunnel")
            assert (ends[0].bytes_ab, ends[0].bytes_ba, ends[0].why) == (8, 500_000, EOF)

    run(work())
