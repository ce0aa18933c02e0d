"""What goes on to the app: the request as it came, with what is known about the client; and the answer, as it comes."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from instance import wait_for
from offload_running import Answer, Offloaded, Seen, answer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def shared() -> Iterator[Offloaded]:
    with Offloaded(body_bytes=1000) as made:
        yield made.start()


@pytest.fixture
def front(shared: Offloaded) -> Iterator[Offloaded]:
    usual = shared.app.answer
    shared.app.seen.clear()
    yield shared
    shared.app.answer = usual


def problem(got: Answer) -> dict[str, object]:
    """The problem document of an answer (RFC 9457)."""
    assert got.get("Content-Type") == "application/problem+json"
    document = json.loads(got.body)
    assert document["status"] == got.status
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize(
    "target",
    ["/a%2Fb//c/./d?x=%00&y=a%20b", "/%E2%82%AC?%0d%0a", "/a;b=c,d", "/x?", "/a%252e%252e/b"],
)
def test_the_target_is_sent_as_it_came(front: Offloaded, target: str) -> None:
    assert front.ask(target).body == b"app"
    assert front.app.seen[-1].target == target


def test_connections_to_the_app_are_kept(front: Offloaded) -> None:
    before = front.app.connections
    for _ in range(20):
        assert front.ask("/api").status == 200
    assert front.app.connections - before <= 1


def test_the_app_learns_who_asks_and_nobody_else_says_it(front: Offloaded) -> None:
    lies = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Port": "666",
        "X-Forwarded-Prefix": "/evil",
        "X-Real-IP": "6.6.6.6",
        "Forwarded": "for=6.6.6.6",
        "X-Accel-Redirect": "/protected/x",
        "X-Accel-Mapping": "/=/etc/",
        "X-Sendfile-Type": "X-Accel-Redirect",
        "Proxy": "http://evil.example",
        "X_Forwarded_For": "6.6.6.6",
        "Host": "Shop.example:8443",
    }
    front.ask("/api", headers=lies)
    seen = front.app.seen[-1]
    assert seen.get("X-Forwarded-For") == "127.0.0.1"
    assert seen.get("X-Forwarded-Proto") == "http"
    assert seen.get("X-Forwarded-Host") == "Shop.example:8443"
    assert seen.get("Host") == "Shop.example:8443"
    names = {name.lower() for name, _ in seen.headers}
    assert names == {
        "host",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-request-id",
    }


@pytest.mark.parametrize(
    ("came", "sent"),
    [
        ("9.9.9.9, 1.1.1.1, 2.2.2.2", "1.1.1.1, 2.2.2.2, 127.0.0.1"),
        ("2.2.2.2", "2.2.2.2, 127.0.0.1"),
        ("1.1.1.1, <script>, 2.2.2.2", "2.2.2.2, 127.0.0.1"),
        ("1.1.1.1, 2.2.2.2, ", "127.0.0.1"),
        (None, "127.0.0.1"),
    ],
)
def test_proxies_in_front_are_believed_as_far_as_said(came: str | None, sent: str) -> None:
    with Offloaded(hops=2, forwarded=("x-forwarded", "forwarded")) as front:
        front.start()
        headers = {"Host": "shop"} | ({"X-Forwarded-For": came} if came else {})
        front.ask(
            "/",
            headers=headers
            | {"X-Forwarded-Proto": "http, https", "X-Forwarded-Host": "a, b.example"},
        )
        seen = front.app.seen[-1]
        assert seen.get("X-Forwarded-For") == sent
        assert seen.get("X-Forwarded-Proto") == "https"
        assert seen.get("X-Forwarded-Host") == "b.example"
        own = 'for=127.0.0.1;proto=http;host="shop"'
        assert seen.get("Forwarded") == own
        for said, kept in (
            ("for=1.1.1.1", "for=1.1.1.1, "),
            (
                'for=9.9.9.9, for="[::1]:80";by="a,b", for=2.2.2.2',
                'for="[::1]:80";by="a,b", for=2.2.2.2, ',
            ),
            ('for="1.1.1.1', ""),
        ):
            front.ask("/", headers={"Host": "shop", "Forwarded": said})
            assert front.app.seen[-1].get("Forwarded") == kept + own


@pytest.mark.parametrize(
    ("request_line", "host", "authority"),
    [
        ("/", "shop.example", "shop.example"),
        ("/", "shop.example:8443", "shop.example:8443"),
        ("/", "[::1]:80", "[::1]:80"),
        ("/", "shop.example:x", None),
        # RFC 9112, section 3.2.2: the target's authority, and not the Host beside it.
        ("http://shop.example/", "evil.example", "shop.example"),
        ("/", "shop.example evil.example", None),
        ("/", "shop.example/evil", None),
    ],
)
def test_the_host_has_one_reading(
    front: Offloaded, request_line: str, host: str, authority: str | None
) -> None:
    got = front.raw(
        f"GET {request_line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    )
    if authority is None:
        assert got.startswith(b"HTTP/1.1 400") or front.app.seen[-1].get("Host") == "shop.example"
    else:
        assert front.app.seen[-1].get("Host") == authority


def test_ids_and_trace_context_go_on(front: Offloaded) -> None:
    trace = {
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate": "a=1,b=2",
        "baggage": "k=v",
    }
    got = front.ask("/api", headers=trace | {"X-Request-Id": "given-1"})
    seen = front.app.seen[-1]
    assert {name: seen.get(name) for name in trace} == trace
    assert seen.get("X-Request-Id") == "given-1"
    assert got.get("X-Request-Id") == "given-1"
    got = front.ask("/api", headers={"X-Request-Id": 'bad"id'})
    given = front.app.seen[-1].get("X-Request-Id")
    assert re.fullmatch(r"[0-9a-f]{32}", given or "")
    assert got.get("X-Request-Id") == given


def test_the_answer_is_the_apps(front: Offloaded) -> None:
    body = b'{"error": "mine"}'
    for status in (400, 404, 413, 500, 502, 503):
        front.app.answer = lambda _seen, peer, status=status: peer.sendall(  # type: ignore[misc]
            answer(
                status, body, Content_Type="application/json", Cache_Control="private", ETag='"1"'
            )
        )
        got = front.ask("/api", headers={"Accept-Encoding": "gzip"})
        assert (got.status, got.body, got.get("Content-Type")) == (status, body, "application/json")
        assert (got.get("Cache-Control"), got.get("ETag")) == ("private", '"1"')
        assert got.get("Retry-After") is None


def test_a_body_beyond_the_limit(front: Offloaded) -> None:
    got = front.ask("/upload", "POST", b"x" * 1001)
    assert got.status == 413
    assert "1000 bytes" in str(problem(got)["detail"])
    assert got.get("X-Content-Type-Options") == "nosniff"
    assert front.app.seen == []
    chunked = front.raw(
        b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\nx\r\n0\r\n\r\n"
    )
    assert chunked.startswith(b"HTTP/1.1 413")
    assert front.app.seen == []
    assert front.ask("/upload", "POST", b"x" * 1000).status == 200
    assert len(front.app.seen[-1].body) == 1000


def test_a_large_upload_passes_by_way_of_a_file() -> None:
    with Offloaded(body_bytes=0) as front:
        front.start()
        body = os.urandom(3 << 20)
        assert front.ask("/upload", "PUT", body).status == 200
        assert front.app.seen[-1].body == body
        assert os.listdir(os.path.join(front.state, "temporary"))
        assert "denied" not in front.output()


def test_websocket(front: Offloaded) -> None:
    front.put("index.html", b"entry")

    def talk(seen: Seen, peer: socket.socket) -> None:
        if seen.get("Upgrade") != "websocket":
            peer.sendall(answer(200, b"no upgrade"))
            return
        assert (seen.get("Connection") or "").lower() == "upgrade"
        peer.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        )
        while data := peer.recv(100):
            peer.sendall(data.upper())

    front.app.answer = talk
    # At the path of the entry page, too, where many apps have theirs.
    for path in ("/socket", "/"):
        with socket.create_connection(("127.0.0.1", front.port), timeout=10) as peer:
            peer.sendall(
                f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n".encode()
            )
            assert peer.recv(1000).startswith(b"HTTP/1.1 101")
            for word in (b"one", b"two"):
                peer.sendall(word)
                assert peer.recv(100) == word.upper()
    # Another protocol would be a tunnel past everything: h2c is not passed on.
    h2c = {
        "Upgrade": "h2c",
        "Connection": "Upgrade, HTTP2-Settings",
        "HTTP2-Settings": "AAMAAABkAAQAAP__",
    }
    assert front.ask("/api", headers=h2c).body == b"no upgrade"


STREAMS = {
    "chunked": (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"9\r\ndata: %d\n\n\r\n",
    ),
    # Without a length and without chunks nginx cannot know that something is whole: the app says so.
    "until closed": (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Accel-Buffering: no\r\nConnection: close\r\n\r\n",
        b"data: %d\n\n",
    ),
}


@pytest.mark.parametrize("sort", STREAMS)
@pytest.mark.parametrize(
    ("method", "accept"), [("GET", "text/event-stream"), ("GET", "*/*"), ("POST", "*/*")]
)
def test_events_come_as_they_are_sent(
    front: Offloaded, sort: str, method: str, accept: str
) -> None:
    head, event = STREAMS[sort]
    step = threading.Semaphore(0)

    def stream(_seen: Seen, peer: socket.socket) -> None:
        peer.sendall(head)
        for number in range(3):
            assert step.acquire(timeout=10)
            peer.sendall(event % number)
        step.acquire(timeout=10)
        peer.shutdown(socket.SHUT_RDWR)

    front.app.answer = stream
    client = http.client.HTTPConnection("127.0.0.1", front.port, timeout=10)
    client.request(method, "/events", headers={"Accept": accept})
    step.release()
    response = client.getresponse()
    assert response.headers.get_all("X-Accel-Buffering") is None
    for number in range(3):
        # The next one is not sent before this one was read.
        assert response.readline() == b"data: %d\n" % number
        assert response.readline() == b"\n"
        step.release()
    client.close()


def test_a_protected_file_is_served_when_the_app_says_so() -> None:
    with Offloaded() as front:
        front.settings["protected"] = front.private
        front.put("report 1.pdf", b"%PDF secret", root=front.private)
        front.put("deep/.config", b"hidden", root=front.private)
        front.put("top.txt", b"outside", root=front.base)
        os.symlink("/etc/passwd", os.path.join(front.private, "passwd"))
        front.start()

        def redirect(to: str, **more: str) -> Answer:
            front.app.answer = lambda _seen, peer: peer.sendall(
                answer(200, b"instead", X_Accel_Redirect=to, **more)
            )
            return front.ask("/download", headers={"Range": "bytes=5-"})

        got = redirect(
            "/protected/report%201.pdf",
            Content_Disposition="attachment",
            Set_Cookie="a=b",
            Content_Type="application/pdf",
        )
        assert (got.status, got.body) == (206, b"secret")
        assert got.get("Cache-Control") == "private, no-cache"
        assert got.get("Content-Disposition") == "attachment"
        assert got.get("Set-Cookie") == "a=b"
        assert got.get("X-Accel-Redirect") is None
        assert got.get("X-Content-Type-Options") == "nosniff"
        assert (
            redirect("/protected/report%201.pdf", Cache_Control="max-age=60").get("Cache-Control")
            == "max-age=60"
        )
        assert redirect("/protected/deep/.config").body == b"n"
        for bad in (
            "/protected/../top.txt",
            "/protected/%2e%2e/top.txt",
            "/protected../top.txt",
            "/protected/passwd",
            "/protected/missing",
            "/protected/%2e%2e%2ftop.txt",
        ):
            got = redirect(bad)
            assert got.status >= 400 or got.body == b"instead", bad
            assert b"outside" not in got.body
            assert b"root:" not in got.body
        front.app.answer = lambda _seen, peer: peer.sendall(answer(200, b"app"))
        for path in (
            "/protected/report%201.pdf",
            "//protected/report%201.pdf",
            "/x/../protected/report%201.pdf",
            "/%70rotected/report%201.pdf",
            "/protected",
        ):
            got = front.ask(path)
            assert got.status == 404 or got.body == b"app"
            assert b"secret" not in got.body


def test_without_protected_files_the_header_means_nothing(front: Offloaded) -> None:
    front.app.answer = lambda _seen, peer: peer.sendall(
        answer(200, b"mine", X_Accel_Redirect="/index.html")
    )
    got = front.ask("/download")
    assert (got.body, got.get("X-Accel-Redirect")) == (b"mine", None)


def test_while_the_app_is_not_ready(front: Offloaded) -> None:
    front.put("file.txt", b"file")
    closed = front.facts.places.closed
    with open(closed, "w"):
        pass
    try:
        got = front.ask("/api")
        assert (got.status, got.get("Retry-After")) == (503, "5")
        problem(got)
        assert front.app.seen == []
        assert front.ask("/api", "POST", b"x").status == 503
        events = front.ask("/events", headers={"Accept": "text/event-stream"})
        assert (events.status, events.get("Retry-After")) == (503, "5")
        got = front.ask("/file.txt")
        assert (got.status, got.body, got.get("Retry-After")) == (200, b"file", None)
    finally:
        os.unlink(closed)
    assert front.ask("/api").body == b"app"


def test_while_the_app_is_away(front: Offloaded) -> None:
    front.put("file.txt", b"file")
    assert front.ask("/api").status == 200
    front.app.away()
    try:
        for headers in ({}, {"Accept": "text/event-stream"}):
            got = front.ask("/api", headers=headers)
            assert (got.status, got.get("Retry-After")) == (503, "5")
            assert "away" in str(problem(got)["detail"])
        assert front.ask("/file.txt").status == 200
    finally:
        front.app.back()
    wait_for("the app is asked again", lambda: front.ask("/api").status == 200)


def test_an_app_that_breaks_off_is_no_app_that_is_away(front: Offloaded) -> None:
    for said in (
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length",
        b"HTTP/1.1 200 OK\r\na: b\0c\r\n\r\n",
    ):

        def breaks(_seen: Seen, peer: socket.socket, said: bytes = said) -> None:
            peer.sendall(said)
            peer.shutdown(socket.SHUT_RDWR)

        front.app.answer = breaks
        got = front.ask("/api", "POST", b"x")
        assert (got.status, got.get("Retry-After")) == (502, None), said
        assert "broke off" in str(problem(got)["detail"])


def test_an_app_that_says_nothing() -> None:
    with Offloaded(timeout_s=1.0) as front:
        front.start()
        hold = threading.Event()

        def says_nothing(_seen: Seen, _peer: socket.socket) -> None:
            hold.wait(10)

        front.app.answer = says_nothing
        got = front.ask("/api")
        hold.set()
        assert got.status == 504
        assert "nothing for 1 s" in str(problem(got)["detail"])


def test_a_request_that_is_not_safe_is_sent_once(front: Offloaded) -> None:
    assert front.ask("/api").status == 200

    def breaks(_seen: Seen, peer: socket.socket) -> None:
        peer.shutdown(socket.SHUT_RDWR)

    front.app.answer = breaks
    front.app.seen.clear()
    assert front.ask("/pay", "POST", b"17").status == 502
    assert len(front.app.seen) == 1
