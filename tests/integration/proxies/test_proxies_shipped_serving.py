"""The shipped templates do what they say, in a real nginx and a real haproxy, with real requests."""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from websockets.sync.client import connect
from websockets.sync.server import serve

from free_ports import free_port
from proxies_certificates import certificates
from proxies_serving import KINDS, Server, serving

if TYPE_CHECKING:
    from pathlib import Path

    from websockets.sync.server import ServerConnection

    from pillion.proxies.templating.facts import ProxyKind

both_kinds = pytest.mark.parametrize("kind", KINDS)


@both_kinds
def test_a_load_balancer_uses_every_member_that_can_take_work(kind: ProxyKind) -> None:
    with Server("a") as a, Server("b") as b, Server("c") as c:
        out = c.member.__class__(id="c", address="127.0.0.1", port=c.port, status="critical")
        members = {"orders": (a.member, b.member, out)}
        with serving(kind, "load-balancer", {"service": "orders"}, members) as proxy:
            got = Counter(proxy.get().body for _ in range(40))
        assert set(got) == {"a", "b"}
        assert not c.seen


@both_kinds
def test_paths_lead_to_their_services(kind: ProxyKind) -> None:
    with Server("a") as a, Server("api") as api:
        members = {"orders": (a.member,), "api": (api.member,)}
        values = {"service": "orders", "routes": [{"path": "/api/", "service": "api"}]}
        with serving(kind, "load-balancer", values, members) as proxy:
            assert proxy.get("/").body == "a"
            assert proxy.get("/api/x").body == "api"


@both_kinds
def test_a_service_without_members_is_said_to_be_unavailable(kind: ProxyKind) -> None:
    with serving(kind, "load-balancer", {"service": "orders"}) as proxy:
        answer = proxy.get()
        assert answer.status == 503
        assert answer.headers["retry-after"] == "5"
        assert len(answer.headers["x-request-id"]) >= 8


@both_kinds
def test_what_is_said_of_the_client_is_true(kind: ProxyKind) -> None:
    with Server("a") as a, serving(kind, "reverse-proxy", {"to": f"127.0.0.1:{a.port}"}) as proxy:
        answer = proxy.get(
            "/",
            X_Forwarded_For="6.6.6.6",
            X_Forwarded_Proto="https",
            Forwarded="for=6.6.6.6",
            Proxy="evil:80",
            X_Request_Id="short",
            traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            Host="shop.example",
        )
        seen = a.seen[0]
        assert seen["x-forwarded-for"] == "127.0.0.1"
        assert seen["x-forwarded-proto"] == "http"
        assert seen["x-forwarded-port"] == str(proxy.port)
        assert seen["x-forwarded-host"] == seen["host"] == "shop.example"
        assert "forwarded" not in seen
        assert "proxy" not in seen
        assert seen["traceparent"].startswith("00-4bf9")
        assert seen["x-request-id"] == answer.headers["x-request-id"] != "short"
        assert "nginx/" not in answer.headers.get("server", "")
        proxy.get("/", X_Request_Id="one-that-holds.9")
        assert a.seen[1]["x-request-id"] == "one-that-holds.9"


@both_kinds
def test_a_proxy_in_front_is_believed_when_it_is_trusted(kind: ProxyKind) -> None:
    values = {"trusted": ["127.0.0.0/8"]}
    with Server("a") as a:
        with serving(kind, "reverse-proxy", {"to": f"127.0.0.1:{a.port}", **values}) as proxy:
            proxy.get("/", X_Forwarded_For="192.0.2.7", X_Forwarded_Proto="https")
        assert a.seen[0]["x-forwarded-for"].startswith("192.0.2.7")
        assert a.seen[0]["x-forwarded-proto"] == "https"


@both_kinds
def test_other_hosts_get_nothing(kind: ProxyKind) -> None:
    with Server("a") as a:
        values = {"to": f"127.0.0.1:{a.port}", "hosts": ["shop.example", "*.shop.test"]}
        with serving(kind, "reverse-proxy", values) as proxy:
            assert proxy.get(Host="shop.example").status == 200
            assert proxy.get(Host="a.shop.test:8080").status == 200
            assert proxy.get(Host="evil.example").status == 421
            assert proxy.get(Host="shop.example.evil.example").status == 421
        assert len(a.seen) == 2


@both_kinds
def test_connections_to_the_server_are_kept(kind: ProxyKind) -> None:
    with Server("a") as a, serving(kind, "reverse-proxy", {"to": f"127.0.0.1:{a.port}"}) as proxy:
        client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
        for _ in range(5):
            client.request("GET", "/")
            assert client.getresponse().read() == b"a"
        client.close()
        assert all(seen.get("connection", "") != "close" for seen in a.seen)


@both_kinds
def test_a_websocket_goes_through(kind: ProxyKind) -> None:
    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            port = server.socket.getsockname()[1]
            with (
                serving(kind, "reverse-proxy", {"to": f"127.0.0.1:{port}"}) as proxy,
                connect(f"ws://127.0.0.1:{proxy.port}/", open_timeout=10, proxy=None) as client,
            ):
                client.send("hello")
                assert client.recv(timeout=10) == "hello"
        finally:
            server.shutdown()
            thread.join()


@both_kinds
@pytest.mark.parametrize("weight", [0, 20, 100])
def test_a_canary_gets_its_part(kind: ProxyKind, weight: int) -> None:
    with Server("stable") as stable, Server("canary") as canary:
        members = {"orders": (stable.member,), "next": (canary.member,)}
        values = {"stable": "orders", "canary": "next", "weight": weight, "header": "X-Canary"}
        with serving(kind, "canary", values, members) as proxy:
            assert proxy.get(X_Canary="always").body == "canary"
            assert proxy.get(X_Canary="never").body == "stable"
            got = Counter(proxy.get().body for _ in range(300))["canary"]
        # Of 300, within five standard deviations where it is drawn.
        assert {0: got == 0, 20: 25 <= got <= 95, 100: got == 300}[weight], got


@both_kinds
def test_a_canary_without_members_gets_nothing_and_alone_everything(kind: ProxyKind) -> None:
    with Server("a") as a:
        for members in ({"orders": (a.member,)}, {"next": (a.member,)}):
            values = {"stable": "orders", "canary": "next", "weight": 50}
            with serving(kind, "canary", values, members) as proxy:
                assert [proxy.get().status for _ in range(20)] == [200] * 20


@both_kinds
@pytest.mark.parametrize("status", [429, 503])
def test_who_asks_too_often_is_told_so(kind: ProxyKind, status: int) -> None:
    with Server("a") as a:
        values = {"to": f"127.0.0.1:{a.port}", "rate": 1, "burst": 5, "status": status}
        with serving(kind, "rate-limit", {**values, "window_s": 10}, {}) as proxy:
            answers = [proxy.get() for _ in range(40)]
            refused = [one for one in answers if one.status == status]
            assert 20 <= len(refused) <= 36
            assert {one.status for one in answers} == {200, status}
            assert all(int(one.headers["retry-after"]) >= 1 for one in refused)


@both_kinds
def test_a_rate_belongs_to_the_key_of_a_client(kind: ProxyKind) -> None:
    with Server("a") as a:
        values = {"to": f"127.0.0.1:{a.port}", "rate": 1, "burst": 1, "by": "X-Api-Key"}
        with serving(kind, "rate-limit", values) as proxy:
            assert 429 in [proxy.get(X_Api_Key="one").status for _ in range(20)]
            assert proxy.get(X_Api_Key="two").status == 200
            assert 429 in [proxy.get().status for _ in range(20)]


@both_kinds
def test_who_is_exempt_has_no_bound(kind: ProxyKind) -> None:
    with Server("a") as a:
        values = {"to": f"127.0.0.1:{a.port}", "rate": 1, "burst": 1, "exempt": ["127.0.0.1"]}
        with serving(kind, "rate-limit", values) as proxy:
            assert {proxy.get().status for _ in range(30)} == {200}


@both_kinds
def test_the_page_of_maintenance_says_when_to_come_back(kind: ProxyKind) -> None:
    with Server("a") as a:
        values = {
            "to": f"127.0.0.1:{a.port}",
            "title": 'Back <soon> for $5 or 5% "off"',
            "retry_after": 60,
            "open": ["/healthz"],
        }
        with serving(kind, "maintenance", values) as proxy:
            answer = proxy.get()
            assert answer.status == 503
            assert answer.headers["retry-after"] == "60"
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert "Back &#60;soon&#62; for &#36;5 or 5&#37;" in answer.body
            assert proxy.get("/", "POST").status == 503
            assert proxy.get("/healthz").body == "a"
        with serving(kind, "maintenance", {**values, "allow": ["127.0.0.1"]}) as proxy:
            assert proxy.get().body == "a"
        with serving(kind, "maintenance", {**values, "enabled": False}) as proxy:
            assert proxy.get().body == "a"


@both_kinds
def test_tls_speaks_what_it_should(kind: ProxyKind, tmp_path: Path) -> None:
    certificates(tmp_path)
    plain = free_port()
    with Server("a") as a:
        values = {
            "to": f"127.0.0.1:{a.port}",
            "certificate": str(tmp_path / ("cert.pem" if kind == "nginx" else "both.pem")),
            "key": str(tmp_path / "key.pem"),
            "redirect": f"127.0.0.1:{plain}",
            "hosts": ["shop.example"],
            "hsts": 1000,
        }
        with serving(kind, "tls-termination", values) as proxy:
            context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context.minimum_version = context.maximum_version = version
                with tls(proxy.port, context) as secure:
                    secure.sendall(
                        b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"
                    )
                    answer = secure.makefile("rb").read().decode().lower()
                assert answer.startswith("http/1.1 200")
                assert "strict-transport-security: max-age=1000" in answer
            assert a.seen[0]["x-forwarded-proto"] == "https"

            context.set_alpn_protocols(["h2", "http/1.1"])
            with tls(proxy.port, context) as secure:
                assert secure.selected_alpn_protocol() == "h2"

            assert not accepts(proxy.port, "-tls1_1")
            assert accepts(proxy.port, "-tls1_2")

            client = http.client.HTTPConnection("127.0.0.1", plain, timeout=10)
            client.request("GET", "/a?b=c", headers={"Host": "shop.example"})
            sent = client.getresponse()
            assert sent.status == 308
            assert sent.getheader("Location") == "https://shop.example/a?b=c"
            client.close()
            client = http.client.HTTPConnection("127.0.0.1", plain, timeout=10)
            client.request("GET", "/", headers={"Host": "evil.example"})
            assert client.getresponse().status == 421
            client.close()


def tls(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    return context.wrap_socket(connection, server_hostname="shop.example")


def accepts(port: int, flag: str) -> bool:
    """Whether a handshake of that version comes about, with every cipher that openssl has."""
    end = subprocess.run(
        [
            "openssl",
            "s_client",
            "-connect",
            f"127.0.0.1:{port}",
            "-servername",
            "shop.example",
            flag,
            "-cipher",
            "ALL:@SECLEVEL=0",
        ],
        input=b"",
        capture_output=True,
        check=False,
        timeout=20,
    )
    return b"Cipher is (NONE)" not in end.stdout and end.returncode == 0
