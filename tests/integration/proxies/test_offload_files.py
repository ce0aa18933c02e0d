"""What nginx serves itself: the bytes, how they may be kept, and in which coding."""

from __future__ import annotations

import gzip
import os
from typing import TYPE_CHECKING

import brotli
import pytest

from instance import wait_for
from offload_running import App, Offloaded, answer

if TYPE_CHECKING:
    from collections.abc import Iterator

HASHED = "assets/app.3f2a9c1d.js"
SCRIPT = b"export const answer = 42;\n" * 400


@pytest.fixture(scope="module")
def front() -> Iterator[Offloaded]:
    with Offloaded() as made:
        made.put("index.html", b"<!doctype html><title>Shop</title>" + b" " * 2000)
        made.put("style.css", b"a { color: red }\n" * 200)
        made.put(HASHED, SCRIPT)
        made.put("post-20240101.html", b"<p>post</p>")
        made.put("docs/index.html", b"<p>docs</p>")
        made.put("bare/picture.png", b"\x89PNG")
        made.put("ready.css", b"b { color: blue }\n" * 200)
        made.put("ready.css.gz", gzip.compress(b"b { color: blue }\n" * 200))
        made.put("ready.css.br", brotli.compress(b"b { color: blue }\n" * 200))
        made.put("module.mjs", b"export {}")
        made.put("site.webmanifest", b"{}")
        made.put(".well-known/security.txt", b"Contact: mailto:security@example.org")
        made.put("with space & % ü.txt", b"odd")
        yield made.start()


@pytest.mark.parametrize(
    ("path", "kind", "caching"),
    [
        ("/", "text/html; charset=utf-8", "no-cache"),
        ("/index.html", "text/html; charset=utf-8", "no-cache"),
        ("/docs/", "text/html; charset=utf-8", "no-cache"),
        # The date is no hash: a page is asked for again whatever it is called.
        ("/post-20240101.html", "text/html; charset=utf-8", "no-cache"),
        ("/style.css", "text/css; charset=utf-8", "public, max-age=3600"),
        (f"/{HASHED}", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
        ("/module.mjs", "text/javascript; charset=utf-8", "public, max-age=3600"),
        ("/site.webmanifest", "application/manifest+json", "public, max-age=3600"),
        ("/bare/picture.png", "image/png", "public, max-age=3600"),
        ("/.well-known/security.txt", "text/plain; charset=utf-8", "public, max-age=3600"),
        (
            "/with%20space%20&%20%25%20%C3%BC.txt",
            "text/plain; charset=utf-8",
            "public, max-age=3600",
        ),
    ],
)
def test_a_file_has_its_type_and_says_how_long_it_holds(
    front: Offloaded, path: str, kind: str, caching: str
) -> None:
    before = len(front.app.seen)
    got = front.ask(path)
    assert (got.status, got.get("Content-Type"), got.get("Cache-Control")) == (200, kind, caching)
    assert got.get("ETag")
    assert got.get("Last-Modified")
    assert got.get("X-Content-Type-Options") == "nosniff"
    assert got.get("X-Frame-Options") == "SAMEORIGIN"
    assert len(front.app.seen) == before


def test_a_client_that_has_it_is_told_so(front: Offloaded) -> None:
    first = front.ask("/style.css")
    tag, modified = first.get("ETag"), first.get("Last-Modified")
    assert tag is not None
    assert modified is not None
    for condition in (
        {"If-None-Match": tag},
        {"If-None-Match": f'"other", W/{tag}'},
        {"If-Modified-Since": modified},
    ):
        again = front.ask("/style.css", headers=condition)
        assert (again.status, again.body, again.get("ETag")) == (304, b"", tag)
        assert again.get("Cache-Control") == "public, max-age=3600"
    assert front.ask("/style.css", headers={"If-None-Match": '"other"'}).status == 200
    assert front.ask("/style.css", headers={"If-Match": '"other"'}).status == 412


def test_ranges(front: Offloaded) -> None:
    got = front.ask(f"/{HASHED}", headers={"Range": "bytes=7-11"})
    assert (got.status, got.body) == (206, SCRIPT[7:12])
    assert got.get("Content-Range") == f"bytes 7-11/{len(SCRIPT)}"
    several = front.ask(f"/{HASHED}", headers={"Range": "bytes=0-0,5-6"})
    assert several.status == 206
    assert (several.get("Content-Type") or "").startswith("multipart/byteranges")
    beyond = front.ask(f"/{HASHED}", headers={"Range": f"bytes={len(SCRIPT)}-"})
    assert (beyond.status, beyond.get("Content-Range")) == (416, f"bytes */{len(SCRIPT)}")
    # A file that has changed is sent whole (RFC 9110, section 13.1.5).
    other = front.ask(f"/{HASHED}", headers={"Range": "bytes=0-0", "If-Range": '"other"'})
    assert (other.status, other.body) == (200, SCRIPT)


def test_a_head_is_like_its_get(front: Offloaded) -> None:
    get, head = front.ask("/style.css"), front.ask("/style.css", "HEAD")
    assert head.body == b""
    assert dict(head.headers) | {"Date": "", "X-Request-Id": ""} == dict(get.headers) | {
        "Date": "",
        "X-Request-Id": "",
    }


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("br", "br"),
        ("gzip, br", "br"),
        ("gzip, deflate, br, zstd", "br"),
        ("identity", None),
        ("gzip;q=0", None),
        ("br;q=0, gzip", "gzip"),
    ],
)
def test_what_lies_compressed_beside_is_sent_as_it_is(
    front: Offloaded, accepted: str, coding: str | None
) -> None:
    got = front.ask("/ready.css", headers={"Accept-Encoding": accepted})
    plain = b"b { color: blue }\n" * 200
    assert got.get("Content-Encoding") == coding
    assert got.get("Vary") == "Accept-Encoding"
    assert got.get("Content-Type") == "text/css; charset=utf-8"
    undo = {"gzip": gzip.decompress, "br": brotli.decompress, None: bytes}[coding]
    assert undo(got.body) == plain
    if coding:
        # As it is: its length is known beforehand.
        assert got.get("Content-Length") == str(len(got.body))


def test_what_does_not_is_compressed_on_the_way(front: Offloaded) -> None:
    got = front.ask("/style.css", headers={"Accept-Encoding": "gzip"})
    assert got.get("Content-Encoding") == "gzip"
    assert (got.get("ETag") or "").startswith("W/")
    assert gzip.decompress(got.body) == b"a { color: red }\n" * 200
    assert (
        front.ask("/bare/picture.png", headers={"Accept-Encoding": "gzip"}).get("Content-Encoding")
        is None
    )


def test_a_directory_is_its_entry_page(front: Offloaded) -> None:
    got = front.ask("/docs?a=b%2Fc")
    assert (got.status, got.get("Location")) == (301, "/docs/?a=b%2Fc")
    assert front.ask("//docs").get("Location") == "/docs/"
    assert front.ask("/docs/").body == b"<p>docs</p>"
    # One without an entry page is the app's.
    before = len(front.app.seen)
    assert front.ask("/bare/").body == b"app"
    assert front.ask("/bare").body == b"app"
    assert front.ask("/docs", "POST", b"x").body == b"app"
    assert [(one.method, one.target) for one in front.app.seen[before:]] == [
        ("GET", "/bare/"),
        ("GET", "/bare"),
        ("POST", "/docs"),
    ]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_what_no_file_can_answer_goes_to_the_app(front: Offloaded, method: str) -> None:
    for path in ("/", "/style.css", f"/{HASHED}"):
        assert front.ask(path, method, b"body").body == b"app"
        seen = front.app.seen[-1]
        assert (seen.method, seen.target, seen.body) == (method, path, b"body")


def served(front: Offloaded, path: str, body: bytes) -> None:
    """Wait until that is what clients get. A second is what the configuration says; the bound is for a host that is busy."""
    wait_for(f"{path} is {body[:20]!r}", lambda: front.ask(path).body == body, bound_s=5)


def test_a_deployment_is_served_within_a_second() -> None:
    with Offloaded() as front:
        path = front.put("index.html", b"one" * 1000)
        front.start()
        assert front.ask("/").body == b"one" * 1000
        # By rename, as deployments should, and written over, as they do.
        front.put("new.html", b"two")
        os.replace(os.path.join(front.root, "new.html"), path)
        served(front, "/", b"two")
        front.put("index.html", b"three")
        served(front, "/", b"three")
        os.unlink(path)
        served(front, "/", b"app")
        front.put("index.html", b"five")
        served(front, "/", b"five")


def test_a_file_with_a_hash_is_there_with_the_next_request() -> None:
    with Offloaded() as front:
        front.start()
        for number in range(5):
            path = f"/assets/app.{number}f2a9c1d.js"
            assert front.ask(path).body == b"app"
            front.put(path[1:], b"new")
            assert front.ask(path).body == b"new"


def test_a_root_that_is_a_link_moves_with_it() -> None:
    with Offloaded() as front:
        for name in ("first", "second"):
            front.put("index.html", name.encode(), root=os.path.join(front.base, name))
            front.put("a.3f2a9c1d.js", name.encode(), root=os.path.join(front.base, name))
        current = os.path.join(front.base, "current")
        os.symlink("first", current)
        front.settings["root"] = current
        front.start()
        assert front.ask("/").body == b"first"
        os.symlink("second", f"{current}.new")
        os.replace(f"{current}.new", current)
        served(front, "/", b"second")


NAVIGATIONS = [
    ({"Sec-Fetch-Mode": "navigate", "Accept": "*/*"}, True),
    ({"Accept": "text/html,application/xhtml+xml;q=0.9"}, True),
    ({"Accept": "application/json, text/html"}, True),
    ({"Sec-Fetch-Mode": "cors", "Accept": "text/html"}, False),
    ({"Accept": "application/json"}, False),
    ({"Accept": "*/*"}, False),
    ({"Accept": "application/x-text/html"}, False),
    ({}, False),
]


@pytest.fixture(scope="module")
def single_page() -> Iterator[Offloaded]:
    with Offloaded(spa=True) as made:
        made.put("index.html", b"entry")
        yield made.start()


@pytest.mark.parametrize(("headers", "navigates"), NAVIGATIONS)
def test_a_navigation_gets_the_entry_page(
    single_page: Offloaded, headers: dict[str, str], navigates: bool
) -> None:
    got = single_page.ask("/orders/17", headers=headers)
    assert got.body == (b"entry" if navigates else b"app")
    if navigates:
        assert got.get("Cache-Control") == "no-cache"
        assert single_page.ask("/orders/17", "HEAD", headers=headers).status == 200
    assert single_page.ask("/missing.js", headers=headers).body == b"app"
    assert single_page.ask("/orders/17", "POST", b"", headers=headers).body == b"app"


def test_a_navigation_needs_no_app(single_page: Offloaded) -> None:
    front = single_page
    front.app.away()
    try:
        assert front.ask("/orders/17", headers={"Accept": "text/html"}).body == b"entry"
        assert front.ask("/api/orders").status == 503
    finally:
        front.app.back()


def test_headers_are_what_was_said_and_the_app_wins() -> None:
    csp = "default-src 'self'; report-to \"x\"; script-src 'nonce-$a{b}' ${root} \\"
    app = App()
    app.answer = lambda _seen, peer: peer.sendall(answer(200, b"own", X_Frame_Options="DENY"))
    headers = {"Content-Security-Policy": csp, "X-Frame-Options": "SAMEORIGIN"}
    with Offloaded(app=app, headers=headers) as front:
        front.put("a.txt", b"a")
        front.start()
        for path in ("/a.txt", "/.hidden", "/app"):
            assert front.ask(path).get("Content-Security-Policy") == csp
        assert front.ask("/a.txt").get("X-Frame-Options") == "SAMEORIGIN"
        assert front.ask("/app").get("X-Frame-Options") == "DENY"
        # What nginx refuses before it knows for whom it is.
        assert b"Content-Security-Policy: default-src" in front.raw(b"GET / HTTP/1.1\r\n\r\n")
        app.away()
