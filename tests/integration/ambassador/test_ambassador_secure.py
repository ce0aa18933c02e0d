"""TLS, PROXY protocol and raw TCP through a real instance, between programs of the standard library."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import os
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ambassador_certificates import Authority
from ambassador_instance import Ambassador
from free_ports import free_ports
from instance import BOUND_S, wait_for
from pillion.ambassador.proxy_protocol import Addresses, encode_v2
from plain_client import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ambassador_certificates import Pair

_LEAVE = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nas long as it lasts"


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the fields that it was sent."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        body = "".join(f"{name.lower()}: {value}\n" for name, value in self.headers.items())
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def serving(port: int = 0, pair: Pair | None = None) -> Iterator[int]:
    """An HTTP server on loopback, with TLS when it has a certificate; its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Echo)
    server.daemon_threads = True
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@contextlib.contextmanager
def deeds(deed: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does the same thing with every connection; its port."""
    sock = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = sock.accept()
                one.settimeout(10)
                with one, contextlib.suppress(OSError):
                    deed(one)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield sock.getsockname()[1]
    finally:
        sock.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        sock.close()


def get(
    port: int, authority: Authority, client: Pair | None = None, first: bytes = b""
) -> tuple[int, str, object]:
    """GET / over TLS from `shop.internal`: status, body and the serial number of its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.file)
    if client is not None:
        context.load_cert_chain(client.cert, client.key)
    raw = socket.create_connection(("127.0.0.1", port), timeout=10)
    raw.sendall(first)
    connection = http.client.HTTPConnection("shop.internal")
    with context.wrap_socket(raw, server_hostname="shop.internal") as sock:
        connection.sock = sock
        connection.request("GET", "/")
        answer = connection.getresponse()
        shown = sock.getpeercert()
        assert shown is not None
        return answer.status, answer.read().decode(), shown["serialNumber"]


def test_inbound_takes_clients_with_a_name_and_believes_the_balancer(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    shop = authority.issue("shop", dns=("shop.internal",))
    store = authority.issue("store", dns=("store.internal",))
    other = authority.issue("other", dns=("other.internal",))
    inbound, app = free_ports(2)
    more = f"""
[app]
port = {app}
[inbound]
listen = "127.0.0.1:{inbound}"
proxy_protocol = true
[inbound.tls]
cert_file = "{shop.cert}"
key_file = "{shop.key}"
client_ca_file = "{authority.file}"
allowed_names = ["store.internal"]
"""
    who = encode_v2(Addresses("192.0.2.7", 4711, "198.51.100.1", 443))
    with serving(app), Ambassador({}, more) as running:
        status, body, _ = get(inbound, authority, store, who)
        assert status == 200
        assert "x-forwarded-for: 192.0.2.7" in body
        assert "x-forwarded-proto: https" in body
        for client in (other, None):
            with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
                get(inbound, authority, client, who)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            get(inbound, authority, store)
        assert running.record(direction="inbound")["peer"] == "192.0.2.7"


def test_upstreams_are_verified(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    orders = authority.issue("orders", dns=("orders.internal",))

    def tls(name: str) -> str:
        return f'tls = {{ ca_file = "{authority.file}", server_name = "{name}" }}'

    with serving(pair=orders) as port:
        urls = f'urls = ["https://127.0.0.1:{port}"]'
        upstreams = {
            "orders": f"{urls}\n{tls('orders.internal')}",
            "wrong": f"{urls}\n{tls('store.internal')}",
            "unknown": urls,
        }
        with Ambassador(upstreams) as running:
            assert ask(running.ports["orders"], "/").status == 200
            for name in ("wrong", "unknown"):
                answer = ask(running.ports[name], "/")
                assert (answer.status, answer.field("pillion-reason")) == (502, "tls-failed")


def test_a_stream_over_tls_that_is_cut_is_not_whole(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    orders = authority.issue("orders", dns=("orders.internal",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(orders.cert, orders.key)

    def ends(one: socket.socket) -> None:
        with context.wrap_socket(one, server_side=True) as sock:
            sock.recv(65536)
            sock.sendall(_LEAVE)
            sock.unwrap()

    def cuts(one: socket.socket) -> None:
        with context.wrap_socket(one, server_side=True) as sock:
            sock.recv(65536)
            sock.sendall(_LEAVE)

    with deeds(ends) as ending, deeds(cuts) as cutting:
        upstreams = {
            name: f'urls = ["https://127.0.0.1:{port}"]\ntls = {{ ca_file = "{authority.file}", '
            'server_name = "orders.internal" }'
            for name, port in (("ends", ending), ("cuts", cutting))
        }
        with Ambassador(upstreams) as running:
            whole = ask(running.ports["ends"], "/")
            assert (whole.status, whole.body, whole.whole) == (200, b"as long as it lasts", True)
            cut = ask(running.ports["cuts"], "/")
            assert (cut.status, cut.whole) == (200, False)


def test_raw_tcp_has_one_record_for_each_connection() -> None:
    def answers(one: socket.socket) -> None:
        question = b""
        while data := one.recv(65536):
            question += data
        one.sendall(b"answer to " + question)

    refused = free_ports(1)[0]
    with deeds(answers) as port:
        upstreams = {
            "db": f'urls = ["tcp://127.0.0.1:{port}"]',
            "gone": f'urls = ["tcp://127.0.0.1:{refused}"]\nretry = "off"',
        }
        with Ambassador(upstreams) as running:
            with socket.create_connection(("127.0.0.1", running.ports["db"]), 10) as sock:
                sock.sendall(b"all")
                sock.shutdown(socket.SHUT_WR)
                assert sock.makefile("rb").read() == b"answer to all"
            record = running.record(upstream="db")
            assert (record["bytes_in"], record["bytes_out"]) == (3, 13)
            # The reset may be there before the connection is reported as made.
            with (
                pytest.raises(ConnectionResetError),
                socket.create_connection(("127.0.0.1", running.ports["gone"]), 10) as sock,
            ):
                sock.recv(1)
            assert running.record(upstream="gone")["reason"] == "connect-failed"


def test_a_certificate_is_replaced_while_it_serves(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    shop = authority.issue("shop", dns=("shop.internal",))
    inbound, app = free_ports(2)
    more = f"""
[app]
port = {app}
[inbound]
listen = "127.0.0.1:{inbound}"
tls = {{ cert_file = "{shop.cert}", key_file = "{shop.key}" }}
"""

    def shown() -> object:
        status, _, serial = get(inbound, authority)
        assert status == 200
        return serial

    with serving(app), Ambassador({}, more) as running:
        instance = running.instance
        before = shown()
        following = authority.issue("next", dns=("shop.internal",))
        os.replace(following.cert, shop.cert)
        wait_for("the refusal", lambda: "certificate-refused" in instance.kinds("ambassador"))
        assert shown() == before
        os.replace(following.key, shop.key)
        wait_for("the change", lambda: "certificate-changed" in instance.kinds("ambassador"))
        assert shown() != before


def test_a_broken_certificate_at_the_start_costs_nothing_else(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    shop = authority.issue("shop", dns=("shop.internal",))
    key = authority.issue("other", dns=("shop.internal",)).key
    inbound, app = free_ports(2)
    more = f"""
[app]
port = {app}
[inbound]
listen = "127.0.0.1:{inbound}"
tls = {{ cert_file = "{shop.cert}", key_file = "{key}" }}
"""
    upstreams = {"orders": f'urls = ["http://127.0.0.1:{app}"]'}
    with serving(app), Ambassador(upstreams, more) as running:
        assert ask(running.ports["orders"], "/").status == 200
        assert "certificate-refused" in running.instance.kinds("ambassador")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            get(inbound, authority)
        os.replace(shop.key, key)
        kinds = running.instance.kinds
        wait_for("the change", lambda: "certificate-changed" in kinds("ambassador"))
        assert get(inbound, authority)[0] == 200


def test_an_upgrade_waits_for_raw_tcp_and_no_longer() -> None:
    def echoes(one: socket.socket) -> None:
        while data := one.recv(65536):
            one.sendall(data)

    with deeds(echoes) as port:
        upstreams = {"db": f'urls = ["tcp://127.0.0.1:{port}"]'}
        with Ambassador(upstreams, head='drain = "60s"') as running:
            old = running.pid
            instance = running.instance
            words = ("upgrade", "--instance", instance.name)
            with ThreadPoolExecutor(1) as pool:
                with socket.create_connection(("127.0.0.1", running.ports["db"]), 20) as sock:
                    sock.sendall(b"before")
                    assert sock.recv(6) == b"before"
                    upgrade = pool.submit(instance.host.pillion, *words, timeout=50.0)
                    wait_for("the next worker", lambda: running.pid != old)
                    sock.sendall(b"after")
                    assert sock.recv(5) == b"after"
                    os.kill(old, 0)
                upgrade.result(BOUND_S)
            assert not os.path.exists(f"/proc/{old}")
            assert "reason" not in running.record(upstream="db")


def test_ends_pass_through_connect() -> None:
    """A server that leaves without a word, one that says all it has at once, and a client that ends with its question."""

    def leaves(one: socket.socket) -> None:
        """Say nothing."""

    def says(one: socket.socket) -> None:
        one.sendall(b"hello and bye")

    def answers(one: socket.socket) -> None:
        question = b""
        while data := one.recv(65536):
            question += data
        one.sendall(b"answer to " + question)

    proxy = free_ports(1)[0]
    more = f'[ambassador.proxy]\nlisten = "127.0.0.1:{proxy}"\ncredentials = false\n'
    cases = ((leaves, b"", b""), (says, b"", b"hello and bye"), (answers, b"all", b"answer to all"))
    with Ambassador({}, more):
        for deed, question, wanted in cases:
            with deeds(deed) as port, socket.create_connection(("127.0.0.1", proxy), 10) as sock:
                asked = f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
                sock.sendall(asked.encode() + question)
                if question:
                    sock.shutdown(socket.SHUT_WR)
                head, _, rest = sock.makefile("rb").read().partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200 ")
                assert rest == wanted
