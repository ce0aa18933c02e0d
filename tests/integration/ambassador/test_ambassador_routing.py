"""Routes, headers and egress with a real instance: what the upstream is sent, and what the client is answered."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from ambassador_running import listeners, reload, start
from instance import Host, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

_BOUND_S = 40.0
_SETTINGS = """
[agent]
wait = "20s"

[ambassador]
proxy = {{ listen = "127.0.0.1:0", credentials = false, egress = "list", hosts = ["127.0.0.1:{world}"] }}
http = {{ trusted_hops = {hops}, forwarded = ["x-forwarded", "forwarded"], underscores = "{underscores}" }}

[ambassador.upstreams.orders]
urls = ["http://127.0.0.1:{orders}"]

[ambassador.upstreams.next]
urls = ["http://127.0.0.1:{next}"]
host = "next.internal"

[[ambassador.routes]]
name = "method"
listener = "orders"
match = {{ path = "/write", methods = ["POST"] }}
answer = {{ status = 202, body = "written", type = "text/plain" }}

[[ambassador.routes]]
name = "beta"
listener = "orders"
match = {{ headers = {{ x-beta = "1" }}, query = {{ beta = "*" }} }}
to = "next"

[[ambassador.routes]]
name = "prefix"
listener = "orders"
match = "/v2/"
to = "orders"
rewrite = {{ prefix = "/", host = "v2.internal" }}
request_headers = {{ set = {{ x-version = "2" }}, remove = ["x-gone"] }}
response_headers = {{ set = {{ server = "shop" }}, add = {{ x-added = "yes" }}, remove = ["x-powered-by"] }}

[[ambassador.routes]]
name = "template"
listener = "orders"
match = "/users/{{id}}"
to = "orders"
rewrite = {{ path = "/u/{{id}}/all" }}

[[ambassador.routes]]
name = "redirect"
listener = "orders"
match = "/old/"
redirect = {{ to = "https://shop.example/new/", status = 301 }}

[[ambassador.routes]]
name = "shares"
listener = "orders"
match = "/shares"
to = [{{ upstream = "orders", weight = {weight} }}, {{ upstream = "next", weight = {other} }}]

[[ambassador.routes]]
name = "by-host"
match = {{ host = "*.shop.internal", path = "/x*" }}
to = "next"
"""


class _Echo(BaseHTTPRequestHandler):
    """Says what it was sent, as JSON."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_name = ""

    def do_GET(self) -> None:
        """Say it."""
        told = {
            "server": self.server_name,
            "line": self.requestline,
            "headers": [[name.lower(), value] for name, value in self.headers.items()],
        }
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("X-Powered-By", "tests")
        self.send_header("Set-Cookie", "a=1")
        self.send_header("Set-Cookie", "b=2")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """The tests look at the answers."""


@contextlib.contextmanager
def _echo(name: str) -> Iterator[int]:
    handler = type("Echo", (_Echo,), {"server_name": name})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class Answer(NamedTuple):
    """An answer; `sent` is what the upstream says that it was sent."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def sent(self) -> dict[str, Any]:
        """What the upstream was sent."""
        assert self.status == 200, self.body
        told: dict[str, Any] = json.loads(self.body)
        return told

    @property
    def sent_headers(self) -> dict[str, str]:
        """The headers that the upstream was sent; each was there once."""
        pairs = [(name, value) for name, value in self.sent["headers"]]
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    @property
    def reason(self) -> str | None:
        """Why the ambassador has answered itself."""
        return self.headers["pillion-reason"]


class World:
    """The instance and the servers behind it."""

    def __init__(self, host: Host, ports: dict[str, int]) -> None:
        self.ports = ports
        self._instance = start(host, self._settings())
        bound = listeners(self._instance)
        self.orders = bound["upstream:orders"]
        self.proxy = bound["proxy"]

    def _settings(self, **changes: object) -> str:
        defaults = {"hops": 0, "underscores": "keep", "weight": 1, "other": 1}
        return _SETTINGS.format(**self.ports, **(defaults | changes))

    @contextlib.contextmanager
    def changed(self, **changes: object) -> Iterator[None]:
        """Other settings for a while."""
        assert "cannot" not in reload(self._instance, self._settings(**changes))
        try:
            yield
        finally:
            reload(self._instance, self._settings())

    def ask(
        self, target: str, *, method: str = "GET", by: str | None = None, **headers: str
    ) -> Answer:
        """Ask by the port of `orders`, or by the proxy."""
        connection = http.client.HTTPConnection(by or self.orders, timeout=_BOUND_S)
        try:
            named = {name.replace("__", "-"): value for name, value in headers.items()}
            connection.request(method, target, headers=named)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Two upstreams, and a server outside."""
    with contextlib.ExitStack() as stack:
        ports = {name: stack.enter_context(_echo(name)) for name in ("orders", "next", "world")}
        yield World(stack.enter_context(Host()), ports)


def test_what_no_route_takes_goes_to_the_upstream_of_the_port(world: World) -> None:
    sent = world.ask("/a/./b/../%7ec?q=%20&x").sent
    assert (sent["server"], sent["line"]) == ("orders", "GET /a/~c?q=%20&x HTTP/1.1")


def test_a_route_by_method_answers_itself(world: World) -> None:
    answer = world.ask("/write", method="POST")
    assert (answer.status, answer.body, answer.reason) == (202, b"written", "direct-answer")
    assert world.ask("/write").sent["line"] == "GET /write HTTP/1.1"


def test_a_route_by_header_and_query(world: World) -> None:
    assert world.ask("/a?beta", X__Beta="1").sent["server"] == "next"
    assert world.ask("/a", X__Beta="1").sent["server"] == "orders"
    assert world.ask("/a?beta", X__Beta="2").sent["server"] == "orders"


def test_a_prefix_is_replaced_and_the_query_stays(world: World) -> None:
    answer = world.ask("/v2/items/a%2fb?q=1", X__Gone="1", X__Version="1", X__Kept="1")
    assert answer.sent["line"] == "GET /items/a%2Fb?q=1 HTTP/1.1"
    headers = answer.sent_headers
    assert (headers["host"], headers["x-version"], headers["x-kept"]) == ("v2.internal", "2", "1")
    assert "x-gone" not in headers
    assert (answer.headers["server"], answer.headers["x-added"]) == ("shop", "yes")
    assert answer.headers["x-powered-by"] is None
    assert answer.headers.get_all("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("target", ["/v2", "/x/../v2", "/v20/", "/v2%2Fitems"])
def test_other_spellings_do_not_become_the_prefix(world: World, target: str) -> None:
    assert world.ask(target).sent_headers.get("x-version") is None


@pytest.mark.parametrize("target", ["/v2/", "/%762/x", "/a/../v2/", "/v2/%2e%2e/v2/"])
def test_other_spellings_of_the_prefix_are_the_prefix(world: World, target: str) -> None:
    assert world.ask(target).sent_headers["x-version"] == "2"


def test_a_template_carries_over_what_was_sent(world: World) -> None:
    assert world.ask("/users/a%2Fb?q").sent["line"] == "GET /u/a%2Fb/all?q HTTP/1.1"
    assert world.ask("/users/a/b").sent["line"] == "GET /users/a/b HTTP/1.1"


def test_a_redirect(world: World) -> None:
    answer = world.ask("/old/a?b=c")
    assert (answer.status, answer.reason) == (301, "redirect")
    assert answer.headers["location"] == "https://shop.example/new/a?b=c"


def test_weights_move_while_it_runs(world: World) -> None:
    def servers() -> Counter[str]:
        return Counter(world.ask("/shares").sent["server"] for _ in range(40))

    assert set(servers()) == {"orders", "next"}
    with world.changed(weight=0, other=1):
        wait_for("all go to next", lambda: set(servers()) == {"next"})
    wait_for("both have a share again", lambda: len(servers()) == 2)


def test_the_host_of_an_upstream(world: World) -> None:
    assert world.ask("/a?beta", X__Beta="1").sent_headers["host"] == "next.internal"


def test_nothing_that_a_client_says_of_itself_is_believed(world: World) -> None:
    answer = world.ask(
        "/a",
        X__Forwarded__For="203.0.113.9",
        X__Real__IP="203.0.113.9",
        Forwarded="for=203.0.113.9",
        Connection="keep-alive, x-hop",
        X__Hop="1",
    )
    headers = answer.sent_headers
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["forwarded"].startswith("for=127.0.0.1;proto=http;host=")
    assert not {"x-real-ip", "x-hop", "connection"} & set(headers)
    assert headers["x-forwarded-host"] == world.orders


def test_with_a_trusted_hop_its_word_counts(world: World) -> None:
    with world.changed(hops=1):
        said = {"X__Forwarded__For": "10.9.9.9, 203.0.113.9", "X__Forwarded__Proto": "https"}
        headers = world.ask("/a", **said).sent_headers
        assert headers["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"
        assert headers["x-forwarded-proto"] == "https"


def test_names_with_underscores(world: World) -> None:
    assert world.ask("/a", X_User="1").sent_headers["x_user"] == "1"
    with world.changed(underscores="drop"):
        assert "x_user" not in world.ask("/a", X_User="1").sent_headers
    with world.changed(underscores="refuse"):
        answer = world.ask("/a", X_User="1")
        assert (answer.status, answer.reason) == (400, "bad-request")


@pytest.mark.parametrize("name", ["host", "Content-Length", "transfer-encoding", "authorization"])
def test_connection_cannot_take_out_what_is_meant_for_everyone(world: World, name: str) -> None:
    answer = world.ask("/a", Connection=f"close, {name}")
    assert (answer.status, answer.reason) == (400, "bad-request")


def test_by_the_proxy_a_name_is_an_upstream(world: World) -> None:
    sent = world.ask("http://orders/a?b", by=world.proxy).sent
    assert (sent["server"], sent["line"]) == ("orders", "GET /a?b HTTP/1.1")


def test_by_the_proxy_routes_come_first(world: World) -> None:
    assert world.ask("http://a.shop.internal/x1", by=world.proxy).sent["server"] == "next"
    answer = world.ask("http://a.shop.internal/y", by=world.proxy)
    assert (answer.status, answer.reason) == (403, "egress-denied")


def test_egress_by_a_list(world: World) -> None:
    allowed = f"127.0.0.1:{world.ports['world']}"
    answer = world.ask(f"http://{allowed}/out", by=world.proxy)
    assert answer.sent["server"] == "world"
    assert answer.sent_headers["host"] == allowed
    for host in (f"127.1:{world.ports['world']}", "127.0.0.1:1", "localhost:80", "[::1]:80"):
        answer = world.ask(f"http://{host}/out", by=world.proxy)
        assert (host, answer.status, answer.reason) == (host, 403, "egress-denied")
    answer = world.ask("localhost:1", method="CONNECT", by=world.proxy)
    assert (answer.status, answer.reason) == (403, "egress-denied")
