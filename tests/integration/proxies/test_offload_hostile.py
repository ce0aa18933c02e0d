"""Clients that want what is not theirs: files beside the root, hidden ones, what links lead to, and headers of their own in answers."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from offload_running import Offloaded, answer

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = b"not for anybody"
COMPRESSED = b"compressed, by a link"


@pytest.fixture(scope="module")
def front() -> Iterator[Offloaded]:
    with Offloaded(spa=True, precompress=True) as made:
        made.settings["protected"] = made.private
        made.put("index.html", b"entry")
        made.put("a/b.txt", b"b")
        made.put("style.css", b"a{}")
        made.put("secret.txt", SECRET, root=made.base)
        made.put("secret.txt", SECRET, root=made.private)
        made.put("public2/secret.txt", SECRET, root=made.base)
        for hidden in (
            ".env",
            ".git/config",
            "a/.htpasswd",
            "a/..hidden",
            ".well-knownish/x",
            "a/.ssh/.well-known/key",
        ):
            made.put(hidden, SECRET)
        made.put("elsewhere/secret.txt", SECRET, root=made.base)
        made.put("style.css", COMPRESSED, root=os.path.join(made.base, "elsewhere"))
        for name, to in (
            ("link.txt", "../secret.txt"),
            ("absolute.txt", os.path.join(made.base, "secret.txt")),
            ("passwd", "/etc/passwd"),
            ("tree", "../elsewhere"),
            ("inside.txt", "a/b.txt"),
            ("style.css.br", "../elsewhere/style.css"),
            ("style.css.gz", "../elsewhere/style.css"),
            ("l.3f2a9c1d.js", "../secret.txt"),
        ):
            os.symlink(to, os.path.join(made.root, name))
        made.app.answer = lambda _seen, peer: peer.sendall(answer(404, b"app"))
        yield made.start()


CLIMBS = [
    "../secret.txt",
    "..%2fsecret.txt",
    "%2e%2e/secret.txt",
    "%2e%2e%2fsecret.txt",
    "..%5csecret.txt",
    "..\\secret.txt",
    "%252e%252e%252fsecret.txt",
    "..%252fsecret.txt",
    "..;/secret.txt",
    ".%00./secret.txt",
    "..%c0%afsecret.txt",
    "%c0%ae%c0%ae/secret.txt",
    "..%ef%bc%8fsecret.txt",
    "%uff0e%uff0e/secret.txt",
    "..%u2215secret.txt",
    "....//secret.txt",
    "..././secret.txt",
    "./../secret.txt",
    "a/../../secret.txt",
    "a/%2e%2e/%2e%2e/secret.txt",
    "a/..//../secret.txt",
    "%2e%2e%00/secret.txt",
    "..%0d%0a/secret.txt",
    "../public2/secret.txt",
    "..%01/secret.txt",
]


@pytest.mark.parametrize("climb", CLIMBS)
def test_nothing_above_the_root(front: Offloaded, climb: str) -> None:
    for start in (
        "/",
        "//",
        "/a/",
        "/protected/",
        "/protected",
        "/assets/x.3f2a9c1d.js/",
        "/style.css/",
    ):
        got = front.get_raw(f"{start}{climb}")
        assert SECRET not in got
        assert got[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 404", b""), (start, got[:200])


def test_no_target_that_begins_outside(front: Offloaded) -> None:
    for target in (
        "secret.txt",
        "../secret.txt",
        "http://x/../secret.txt",
        "http://x/..%2fsecret.txt",
        "file:///etc/passwd",
        "*",
        "",
    ):
        got = front.get_raw(target)
        assert SECRET not in got
        assert b"root:" not in got
        assert got[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 404", b"HTTP/1.1 200", b"")
        assert b" 200 " not in got[:15] or got.endswith(b"entry")


@pytest.mark.parametrize(
    "path",
    [
        "/.env",
        "/%2eenv",
        "/%2Eenv",
        "//.env",
        "/./.env",
        "/a/../.env",
        "/.git/config",
        "/%2egit/config",
        "/.git%2fconfig",
        "/a/.htpasswd",
        "/a/%2ehtpasswd",
        "/a/..hidden",
        "/.well-knownish/x",
        "/a/.ssh/.well-known/key",
        "/.",
        "/a/.",
        "/.env/",
        "/.env%20",
        "/.ENV",
        "/.env?x.js",
        "/.git/x.3f2a9c1d.js",
        "/.git/x.css",
    ],
)
def test_no_hidden_file(front: Offloaded, path: str) -> None:
    for fields in (
        (),
        ("Accept: text/html",),
        ("Accept-Encoding: br",),
        ("Accept-Encoding: gzip",),
    ):
        assert SECRET not in front.get_raw(path, *fields)
    before = len(front.app.seen)
    if "well-known" not in path and not path.endswith("/."):
        assert b" 404 " in front.get_raw(path)[:20]
        # Nor is the app asked, which may look into the same directory.
        assert len(front.app.seen) == before


@pytest.mark.parametrize(
    "path",
    [
        "/link.txt",
        "/absolute.txt",
        "/passwd",
        "/tree/secret.txt",
        "/inside.txt",
        "/tree/",
        "/tree/index.html",
        "/l.3f2a9c1d.js",
    ],
)
def test_no_link_is_followed(front: Offloaded, path: str) -> None:
    for fields in ((), ("Accept-Encoding: gzip, br",)):
        got = front.get_raw(path, *fields)
        assert SECRET not in got
        assert b"root:" not in got
        assert got[:12] in (b"HTTP/1.1 403", b"HTTP/1.1 404"), got[:100]


@pytest.mark.parametrize("coding", ["br", "gzip", "gzip, br", "gzip;q=1, br;q=1", "*"])
def test_nor_one_to_a_compressed_file(front: Offloaded, coding: str) -> None:
    assert front.get_raw("/style.css", f"Accept-Encoding: {coding}").endswith(b"a{}")


@pytest.mark.parametrize(
    "split",
    [
        "%0d%0aInjected:%20yes",
        "%0aInjected:%20yes",
        "%0dInjected:%20yes",
        "%E5%98%8D%E5%98%8AInjected:%20yes",
        "%c4%8d%c4%8aInjected:%20yes",
    ],
)
def test_no_header_of_the_clients_in_an_answer(front: Offloaded, split: str) -> None:
    os.makedirs(os.path.join(front.root, "docs"), exist_ok=True)
    front.put("docs/index.html", b"docs")
    targets = (
        f"/{split}",
        f"/docs{split}",
        f"/docs?{split}",
        f"/docs/{split}",
        f"/{split}/../docs",
        f"/a/b.txt?{split}",
        f"/x.3f2a9c1d.js{split}",
    )
    for target in targets:
        for fields in ((), (f"X-Request-Id: {split}",), (f"X-Forwarded-Host: {split}",)):
            head = front.get_raw(target, *fields).partition(b"\r\n\r\n")[0]
            assert not any(line.lower().startswith(b"injected") for line in head.splitlines()), (
                target
            )


def test_a_redirect_stays_here(front: Offloaded) -> None:
    front.put("docs/index.html", b"docs")
    front.put("evil.example/index.html", b"here")
    for target in (
        "//docs",
        "///docs",
        "//evil.example",
        "/\\evil.example",
        "/%5cevil.example",
        "//evil.example%2f..",
        "/%2fevil.example",
        "/docs%2f%2fevil.example/..",
    ):
        got = front.get_raw(target)
        places = [
            one
            for one in got.partition(b"\r\n\r\n")[0].splitlines()
            if one.lower().startswith(b"location:")
        ]
        for place in places:
            where = place.partition(b":")[2].strip()
            assert where.startswith(b"/"), target
            assert where[1:2] not in (b"/", b"\\"), target


def test_null_bytes_and_controls_are_refused(front: Offloaded) -> None:
    for raw in (
        b"/a/b.txt%00",
        b"/a/b.txt%00.css",
        b"/%00",
        b"/a/b.txt\0",
        b"/a/b.txt\x01",
        b"/a/b.txt\x7f",
    ):
        got = front.get_raw(raw)
        assert not got.endswith(b"\r\nb"), raw
        assert got[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 404"), raw


def test_what_clients_say_for_nginx_means_nothing(front: Offloaded) -> None:
    for field in (
        "X-Accel-Redirect: /protected/secret.txt",
        "X-Sendfile: /etc/passwd",
        "X-Original-URL: /protected/secret.txt",
        "X-Rewrite-URL: /protected/secret.txt",
        "X-Accel-Mapping: /=/protected/",
        "Pillion-Brotli: /etc/passwd",
    ):
        got = front.get_raw("/nowhere", field)
        assert got[:12] == b"HTTP/1.1 404"
        assert SECRET not in got
    for path in (
        "/protected/secret.txt",
        "/protected/./secret.txt",
        "//protected//secret.txt",
        "/%70rotected/secret.txt",
        "/PROTECTED/secret.txt",
        "/a/../protected/secret.txt",
    ):
        for fields in ((), ("Accept: text/html",), ("Upgrade: websocket", "Connection: upgrade")):
            assert SECRET not in front.get_raw(path, *fields)


def test_no_named_place_of_ours_can_be_asked_for(front: Offloaded) -> None:
    for target in ("/@app", "/@brotli", "@brotli", "/@problem", "/%40file"):
        got = front.get_raw(target)
        assert got[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 404")


def test_what_has_two_readings_is_refused(front: Offloaded) -> None:
    before = len(front.app.seen)
    for head in (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
    ):
        got = front.raw(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        assert got[:9] == b"HTTP/1.1 ", head
        assert got[9:12] in (b"400", b"501"), head
        assert b"application/problem+json" in got
    assert len(front.app.seen) == before


def test_one_who_never_ends_his_head_is_let_go(front: Offloaded) -> None:
    with socket.create_connection(("127.0.0.1", front.port), timeout=10) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 70_000)
        got = b"".join(iter(lambda: peer.recv(65536), b""))
    assert got.startswith(b"HTTP/1.1 431")
    assert b'"status":431' in got
    assert front.get_raw("/" + "a" * 20_000).startswith(b"HTTP/1.1 414")
