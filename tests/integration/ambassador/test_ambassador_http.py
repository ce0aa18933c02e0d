"""HTTP through the ambassador between programs that are not ours: Node.js and Python behind it, h11, curl, Perl and urllib before it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from ambassador_instance import Ambassador
from foreign_servers import node_upstream, old_upstream
from plain_client import Answer, Client, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAMS = Path(__file__).parent / "programs"
_LIMITS = """
[ambassador.http]
target = "2K"
header = "8K"
body = "64M"
header_timeout = "500ms"
"""


class World(msgspec.Struct):
    """The running instance, and where Node.js really is."""

    ambassador: Ambassador
    node_port: int

    @property
    def node(self) -> int:
        """The upstream's local port."""
        return self.ambassador.ports["node"]

    @property
    def proxy(self) -> str:
        """The proxy as the app is told of it."""
        return self.ambassador.environment()["http_proxy"]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Node.js and Python of HTTP/1.0 as upstreams, and a proxy whose variables the app has."""
    with node_upstream() as node, old_upstream() as old:
        upstreams = {
            "node": f'urls = ["http://127.0.0.1:{node}"]',
            "old": f'urls = ["http://127.0.0.1:{old}"]',
        }
        with Ambassador(upstreams, _LIMITS, head="proxy = { env = true }") as running:
            yield World(running, node)


def echoed(answer: Answer) -> dict[str, Any]:
    """What Node.js says that it was asked."""
    assert (answer.status, answer.whole) == (200, True), answer
    said: dict[str, Any] = json.loads(answer.body)
    raw = said["rawHeaders"]
    said["fields"] = [(raw[i].lower(), raw[i + 1]) for i in range(0, len(raw), 2)]
    return said


# What goes out is what came in, but for what belongs to the connection.


def test_a_request_arrives_as_it_was_sent(world: World) -> None:
    fields = [("X-One", "1"), ("X-Two", "a, b"), ("x-two", "c"), ("cookie", "a=1; b=2")]
    got = echoed(ask(world.node, "/echo?a=1&a=%2F&b", "PATCH", fields, b"body"))
    assert (got["method"], got["url"], got["httpVersion"]) == ("PATCH", "/echo?a=1&a=%2F&b", "1.1")
    assert got["sha256"] == hashlib.sha256(b"body").hexdigest()
    kept = [pair for pair in got["fields"] if pair[0] in ("x-one", "x-two", "cookie")]
    assert kept == [("x-one", "1"), ("x-two", "a, b"), ("x-two", "c"), ("cookie", "a=1; b=2")]


def test_what_belongs_to_the_connection_stays_on_it(world: World) -> None:
    fields = [
        ("connection", "keep-alive, x-mine"),
        ("x-mine", "no"),
        ("keep-alive", "timeout=9"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic c2VjcmV0"),
        ("te", "trailers, deflate"),
        ("upgrade", "tea"),
    ]
    names = {name for name, _ in echoed(ask(world.node, "/echo", "GET", fields))["fields"]}
    assert not names & {
        "x-mine",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "upgrade",
    }
    back = ask(world.node, "/hops")
    assert (back.field("x-mine"), back.field("keep-alive"), back.field("x-yours")) == (
        "",
        "",
        "yes",
    )


def test_the_upstream_learns_who_asks_and_nobody_can_lie_about_it(world: World) -> None:
    lies = [
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "6.6.6.6"),
    ]
    got = echoed(ask(world.node, "/echo", "GET", lies))
    fields = dict(got["fields"])
    assert fields["x-forwarded-for"] == "127.0.0.1"
    assert fields["x-forwarded-proto"] == "http"
    assert fields["host"] == f"127.0.0.1:{world.node_port}"
    assert len(fields["traceparent"].split("-")) == 4


def test_fields_that_come_twice_stay_two_and_in_order(world: World) -> None:
    got = ask(world.node, "/cookies")
    named = [pair for pair in got.fields if pair[0] in ("set-cookie", "x-between")]
    assert named == [("set-cookie", "a=1"), ("x-between", "b"), ("set-cookie", "c=3")]


# Framing.


def test_answers_without_a_body_leave_the_connection_for_the_next(world: World) -> None:
    with Client(world.node) as client:
        for _ in range(3):
            head = client.ask("/length", "HEAD")
            assert (head.status, head.body, head.field("content-length")) == (200, b"", "5")
            assert client.ask("/length").body == b"12345"
            nothing = client.ask("/204")
            assert (nothing.status, nothing.body, nothing.field("content-length")) == (204, b"", "")
            same = client.ask("/304")
            assert (same.status, same.body, same.field("etag")) == (304, b"", '"a"')


def test_trailers_pass_both_ways(world: World) -> None:
    got = ask(world.node, "/trailers", "GET", [("te", "trailers")])
    assert (got.body, got.trailers) == (b"onetwo", [("x-sum", "2")])
    with Client(world.node) as client:
        client.sock.sendall(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
            b"3;ext=1\r\none\r\n3\r\ntwo\r\n0\r\nX-Sum: 2\r\n\r\n"
        )
        said = _raw_json(client)
    assert said["length"] == 6
    assert [text.lower() for text in said["rawTrailers"]] == ["x-sum", "2"]


def test_a_client_that_waits_for_100_gets_it_and_one_that_is_refused_sends_nothing(
    world: World,
) -> None:
    head = b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with Client(world.node) as client:
        client.sock.sendall(head % b"/echo")
        assert _raw_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        client.sock.sendall(b"12345")
        assert _raw_json(client)["length"] == 5
    with Client(world.node) as client:
        client.sock.sendall(head % b"/refuses")
        assert _raw_until(client, b"no").startswith(b"HTTP/1.1 417")


def test_other_interim_answers_pass(world: World) -> None:
    got = ask(world.node, "/hints")
    assert (got.status, got.body, got.interim) == (200, b"ok", [103])


def test_pipelined_requests_are_answered_in_order(world: World) -> None:
    with Client(world.node) as client:
        asked = [f"GET /echo?n={n} HTTP/1.1\r\nHost: a\r\n\r\n" for n in range(30)]
        client.sock.sendall("".join(asked).encode())
        data = b""
        while data.count(b'"sha256"') < 30:
            data += client.sock.recv(1 << 16)
    places = [data.index(f'/echo?n={n}"'.encode()) for n in range(30)]
    assert places == sorted(places)


def test_both_directions_stream_at_once(world: World) -> None:
    with Client(world.node) as client:
        client.sock.sendall(b"POST /both HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert b">" in _raw_until(client, b">")
        for letter in (b"p", b"q", b"r"):
            client.sock.sendall(b"1\r\n%b\r\n" % letter)
            assert letter in _raw_until(client, letter)
        client.sock.sendall(b"0\r\n\r\n")
        assert _raw_until(client, b"0\r\n\r\n").endswith(b"<\r\n0\r\n\r\n")


def test_long_bodies_arrive_whole(world: World) -> None:
    body = os.urandom(20 << 20)
    got = echoed(ask(world.node, "/echo", "POST", body=body))
    assert (got["length"], got["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    back = ask(world.node, "/large?mib=20")
    assert (back.whole, len(back.body)) == (True, 20 << 20)


# Old peers.


def test_an_upstream_of_http_1_0_is_understood(world: World) -> None:
    with Client(world.ambassador.ports["old"]) as client:
        for _ in range(3):
            got = client.ask("/a?b")
            assert (got.status, got.body, got.whole) == (200, b"HTTP/1.1 /a?b", True)
        assert client.ask("/", "POST", body=b"hello").body == b"got hello"


def test_clients_of_http_1_0_are_understood(world: World) -> None:
    with Client(world.node) as client:
        client.sock.sendall(b"GET /trailers HTTP/1.0\r\n\r\n")
        data = _raw_rest(client)
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding" not in head.lower()
    assert body == b"onetwo"
    with Client(world.node) as client:
        for _ in range(2):
            client.sock.sendall(
                b"GET /length HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
            )
            assert _raw_until(client, b"12345").lower().count(b"connection: keep-alive") == 1


# What is refused.


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 200 + b"\r\n", 431),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (
            b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\n12345", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /slow HTTP/1.1\r\nHost: ", 408),
    ],
    ids=lambda value: value if isinstance(value, int) else value[:24].decode("latin-1").strip(),
)
def test_what_is_no_acceptable_request_is_refused_and_says_why(
    world: World, sent: bytes, status: int
) -> None:
    with Client(world.node) as client:
        client.sock.sendall(sent)
        answer = _raw_rest(client)
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 %d" % status), answer
    assert b"pillion-reason: bad-request" in head
    assert b"application/problem+json" in head
    assert b"connection: close" in head


# Programs that know only a proxy.


def proxied(world: World, *command: str) -> str:
    """Run a program in the environment that the app was given."""
    env = world.ambassador.environment()
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_app_is_told_of_the_ways_out(world: World) -> None:
    env = world.ambassador.environment()
    assert env["PILLION_UPSTREAM_NODE"] == f"http://127.0.0.1:{world.node}"
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        assert env[name] == env["http_proxy"]
    assert "@127.0.0.1:" in env["http_proxy"]


def test_curl_perl_and_urllib_reach_an_upstream_by_its_name(world: World) -> None:
    url = "http://node/echo?by=name"
    by_curl = json.loads(proxied(world, "curl", "-sS", "-d", "hello", url))
    perl = proxied(world, "perl", str(_PROGRAMS / "proxied.pl"), "POST", url, "hello")
    code = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], b'hello').read().decode())"
    by_urllib = json.loads(proxied(world, sys.executable, "-c", code, url))
    status, _, text = perl.partition("\n")
    assert status == "200"
    for said in (by_curl, json.loads(text), by_urllib):
        assert (said["method"], said["url"], said["length"]) == ("POST", "/echo?by=name", 5)
        assert "proxy-authorization" not in [one.lower() for one in said["rawHeaders"]]


def test_a_tunnel_through_the_proxy(world: World) -> None:
    url = f"http://127.0.0.1:{world.node_port}/echo"
    said = proxied(world, "curl", "-sS", "--noproxy", "", "-p", "-x", world.proxy, url)
    assert json.loads(said)["url"] == "/echo"


def test_the_proxy_asks_for_credentials(world: World) -> None:
    port = int(world.proxy.rpartition(":")[2].strip("/"))
    for method, target in (("GET", "http://node/echo"), ("CONNECT", "node:80")):
        with Client(port) as client:
            client.sock.sendall(f"{method} {target} HTTP/1.1\r\nHost: node\r\n\r\n".encode())
            head = _raw_until(client, b"\r\n\r\n").lower()
        assert head.startswith(b"http/1.1 407")
        assert b"proxy-authenticate: basic" in head
        assert b"pillion-reason: credentials-required" in head


def test_every_request_is_in_the_log_once(world: World) -> None:
    path = "/echo/no/such/path"
    got = ask(world.node, f"{path}?x=%22", "DELETE")
    record = world.ambassador.record(path=path)
    assert got.status == record["status"] == 404
    assert (record["method"], record["upstream"], record["attempts"]) == ("DELETE", "node", 1)
    assert record["query"] == "x=%22"
    assert record["direction"] == "outbound"
    assert len(record["trace_id"]) == 32


def _raw_until(client: Client, end: bytes) -> bytes:
    data = b""
    while end not in data:
        piece = client.sock.recv(1 << 16)
        assert piece, f"the connection ended after {data!r}"
        data += piece
    return data


def _raw_rest(client: Client) -> bytes:
    data = b""
    while piece := client.sock.recv(1 << 16):
        data += piece
    return data


def _raw_json(client: Client) -> dict[str, Any]:
    """The object in an answer of Node.js, whatever its framing."""
    data = _raw_until(client, b'"}')
    said: dict[str, Any] = json.loads(data[data.index(b"{") : data.rindex(b"}") + 1])
    return said
