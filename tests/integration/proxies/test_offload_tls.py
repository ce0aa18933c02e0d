"""TLS of the offload, spoken with a real nginx: versions, HTTP/2, what the app is told, and clients with a certificate."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from ambassador_certificates import Authority
from offload_running import Offloaded
from pillion.settings.edges import ServerTls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ambassador_certificates import Pair

NAME = "shop.example"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("server", dns=(NAME,))


@pytest.fixture(scope="module")
def front(pair: Pair) -> Iterator[Offloaded]:
    with Offloaded(tls=ServerTls(cert_file=pair.cert, key_file=pair.key)) as made:
        made.put("index.html", b"entry")
        yield made.start()


def speaking(
    front: Offloaded, authority: Authority, path: str, context: ssl.SSLContext | None = None
) -> bytes:
    """The whole answer, over TLS with a server that has to show a certificate for its name."""
    context = context or ssl.create_default_context(cafile=authority.file)
    with (
        socket.create_connection(("127.0.0.1", front.port), timeout=15) as plain,
        context.wrap_socket(plain, server_hostname=NAME) as secure,
    ):
        secure.sendall(f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: secure.recv(65536), b""))


def only(authority: Authority, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.file)
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_files_and_app_over_tls(
    front: Offloaded, authority: Authority, version: ssl.TLSVersion
) -> None:
    context = only(authority, version)
    got = speaking(front, authority, "/", context)
    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.endswith(b"\r\n\r\nentry")
    assert speaking(front, authority, "/api", context).endswith(b"\r\n\r\napp")
    assert front.app.seen[-1].get("X-Forwarded-Proto") == "https"
    assert front.app.seen[-1].get("Host") == NAME


def test_http_2_is_offered(front: Offloaded, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=authority.file)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", front.port), timeout=15) as plain,
        context.wrap_socket(plain, server_hostname=NAME) as secure,
    ):
        assert secure.selected_alpn_protocol() == "h2"


def test_who_speaks_plainly_is_told(front: Offloaded) -> None:
    before = len(front.app.seen)
    got = front.get_raw("/api")
    assert got.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in got
    assert len(front.app.seen) == before


def test_nothing_below_the_version_that_was_set(pair: Pair, authority: Authority) -> None:
    with Offloaded(
        tls=ServerTls(cert_file=pair.cert, key_file=pair.key, min_version="1.3")
    ) as front:
        front.start()
        with pytest.raises(ssl.SSLError):
            speaking(front, authority, "/", only(authority, ssl.TLSVersion.TLSv1_2))
        got = speaking(front, authority, "/", only(authority, ssl.TLSVersion.TLSv1_3))
        assert got.startswith(b"HTTP/1.1 200 ")


def test_only_clients_with_a_certificate(pair: Pair, authority: Authority, tmp_path: Path) -> None:
    tls = ServerTls(cert_file=pair.cert, key_file=pair.key, client_ca_file=authority.file)
    with Offloaded(tls=tls) as front:
        front.put("index.html", b"entry")
        front.start()
        # Nobody's, none at all, ours.
        strange = Authority(tmp_path, "strange").issue("strange-client")
        for certificate in (strange, None):
            context = ssl.create_default_context(cafile=authority.file)
            if certificate is not None:
                context.load_cert_chain(certificate.cert, certificate.key)
            for path in ("/", "/api"):
                got = speaking(front, authority, path, context)
                assert got.startswith(b"HTTP/1.1 400 ")
                assert b"entry" not in got
        assert not front.app.seen
        client = authority.issue("client")
        context = ssl.create_default_context(cafile=authority.file)
        context.load_cert_chain(client.cert, client.key)
        assert speaking(front, authority, "/", context).endswith(b"\r\n\r\nentry")
        assert speaking(front, authority, "/api", context).endswith(b"\r\n\r\napp")
