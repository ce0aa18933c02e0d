"""Who is let in, and who is told what: every refusal of issue 2 that concerns the API, on real sockets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from keeper_peer import APP_TOKEN, OPERATOR_TOKEN, KeeperPeer, exchange, read_to_end

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STRANGER = 65534
FOREIGN_HOSTS = [
    b"evil.example",
    b"evil.example:{port}",
    b"127.0.0.1",
    b"127.0.0.1:1",
    b"127.0.0.1.evil.example:{port}",
    b"127.0.0.2:{port}",
    b"localhost.:{port}",
    b"user@127.0.0.1:{port}",
]


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeeperPeer]:
    """One agent for all of these: a refusal leaves nothing behind."""
    with KeeperPeer(tmp_path_factory.mktemp("access")) as peer:
        peer.start()
        yield peer


def on_tcp(keeper: KeeperPeer, method: str, path: str, *fields: bytes, host: bytes = b"") -> bytes:
    host = host or b"127.0.0.1:{port}"
    head = [
        f"{method} {path} HTTP/1.1".encode(),
        b"Host: " + host.replace(b"{port}", b"%d" % keeper.port),
        b"Connection: close",
        *fields,
    ]
    return exchange(("127.0.0.1", keeper.port), b"\r\n".join(head) + b"\r\n\r\n")


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def problem_of(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    problem: dict[str, Any] = json.loads(body)
    assert problem["status"] == status_of(answer)
    assert problem["detail"].startswith("cannot ")
    return problem


def challenge_of(answer: bytes) -> bytes:
    for line in answer.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        if line.lower().startswith(b"www-authenticate: "):
            return line[18:]
    return b""


def test_no_token(keeper: KeeperPeer) -> None:
    answer = on_tcp(keeper, "GET", "/v1/components")
    assert status_of(answer) == 401
    assert challenge_of(answer) == b'Bearer realm="pillion"'
    problem_of(answer)


@pytest.mark.parametrize(
    "field",
    [
        b"Authorization: Bearer " + b"c" * 48,
        b"Authorization: Bearer " + APP_TOKEN[:-1].encode(),
        b"Authorization: Bearer ",
        b"Authorization: Bearer \xff\xfe",
        b"Authorization: Basic " + APP_TOKEN.encode(),
        b"Authorization: " + APP_TOKEN.encode(),
    ],
)
def test_a_wrong_token(keeper: KeeperPeer, field: bytes) -> None:
    answer = on_tcp(keeper, "GET", "/v1/components", field)
    assert status_of(answer) == 401
    assert challenge_of(answer).startswith(b'Bearer realm="pillion"')
    assert APP_TOKEN not in problem_of(answer)["detail"]


def test_two_tokens_are_no_token(keeper: KeeperPeer) -> None:
    fields = [b"Authorization: Bearer wrong", b"Authorization: Bearer " + OPERATOR_TOKEN.encode()]
    assert status_of(on_tcp(keeper, "GET", "/v1/components", *fields)) == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/components/app/restart"),
        ("POST", "/v1/components/app/stop"),
        ("POST", "/v1/components/app/start"),
        ("POST", "/v1/components/app/signal"),
        ("PATCH", "/v1/components/app/limits"),
        ("POST", "/v1/reload"),
        ("POST", "/v1/upgrade"),
        ("POST", "/v1/shutdown"),
    ],
)
def test_the_apps_token_where_an_operators_is_needed(
    keeper: KeeperPeer, method: str, path: str
) -> None:
    (child,) = keeper.children
    token = b"Authorization: Bearer " + APP_TOKEN.encode()
    answer = on_tcp(keeper, method, path, token)
    assert status_of(answer) == 403
    assert b'error="insufficient_scope"' in challenge_of(answer)
    problem_of(answer)
    assert [m for m in child.said if m["op"] == "call" and m["method"] != "status"] == []


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
@pytest.mark.parametrize("path", ["/v1/components", "/livez"])
def test_a_foreign_host(keeper: KeeperPeer, host: bytes, path: str) -> None:
    token = b"Authorization: Bearer " + OPERATOR_TOKEN.encode()
    answer = on_tcp(keeper, "GET", path, token, host=host)
    # A Host that is no host at all is refused by the codec before anybody looks at its name.
    assert status_of(answer) in ((400, 421) if b"@" in host else (421,))
    problem_of(answer)


@pytest.mark.parametrize(
    "host", [b"127.0.0.1:{port}", b"localhost:{port}", b"LocalHost:{port}", b"[::1]:{port}"]
)
def test_our_own_names(keeper: KeeperPeer, host: bytes) -> None:
    assert status_of(on_tcp(keeper, "GET", "/livez", host=host)) == 200


def test_an_absolute_target_names_the_host_that_counts(keeper: KeeperPeer) -> None:
    answer = on_tcp(keeper, "GET", "http://evil.example/livez")
    assert status_of(answer) in (400, 421)


def test_the_probe_listener_offers_health_alone(keeper: KeeperPeer) -> None:
    address = ("127.0.0.1", keeper.probe_port)
    for path, expected in [
        ("/livez", 200),
        ("/v1/components", 404),
        ("/metrics", 404),
        ("/v1/openapi.json", 404),
    ]:
        head = f"GET {path} HTTP/1.1\r\nHost: 10.0.0.7\r\nConnection: close\r\n\r\n"
        assert status_of(exchange(address, head.encode())) == expected, path
    token = f"Authorization: Bearer {OPERATOR_TOKEN}\r\n"
    head = f"POST /v1/shutdown HTTP/1.1\r\nHost: x\r\n{token}Connection: close\r\n\r\n"
    assert status_of(exchange(address, head.encode())) == 404


ASK_AS = """
import os, socket, sys
os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[2])
sock.sendall(sys.argv[3].encode() + b" HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
while data := sock.recv(65536):
    sys.stdout.buffer.write(data)
"""


def as_user(uid: int, keeper: KeeperPeer, line: str) -> bytes:
    """What another user's process gets; the path is open to it, so that only the peer's user decides."""
    for directory in [keeper.runtime_dir, *keeper.runtime_dir.parents]:
        if str(directory).startswith("/tmp/") and str(directory) != "/tmp":
            os.chmod(directory, 0o755)
    os.chmod(keeper.api_socket, 0o666)
    command = [sys.executable, "-I", "-S", "-c", ASK_AS, str(uid), keeper.api_socket, line]
    return subprocess.run(command, check=True, capture_output=True, timeout=10).stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    "line", ["GET /livez", "GET /v1/components", "POST /v1/shutdown", "GET /nowhere"]
)
def test_another_users_process_on_the_unix_socket(keeper: KeeperPeer, line: str) -> None:
    (child,) = keeper.children
    answer = as_user(STRANGER, keeper, line)
    assert status_of(answer) == 403
    assert f"cannot serve user {STRANGER}" in problem_of(answer)["detail"]
    assert child.calls("shutdown") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_apps_own_user_is_the_app(tmp_path: Path) -> None:
    settings = {"app": {"name": "shop", "user": str(STRANGER)}}
    with KeeperPeer(tmp_path, settings) as keeper:
        child = keeper.start()
        assert status_of(as_user(STRANGER, keeper, "GET /v1/components")) == 200
        answer = as_user(STRANGER, keeper, "POST /v1/shutdown")
        assert status_of(answer) == 403
        assert "cannot do this as app" in problem_of(answer)["detail"]
        assert child.calls("shutdown") == []
        assert status_of(as_user(STRANGER - 1, keeper, "GET /livez")) == 403


def test_an_oversized_url(keeper: KeeperPeer) -> None:
    answer = on_tcp(keeper, "GET", "/" + "a" * 10_000)
    assert status_of(answer) == 414
    problem_of(answer)


def test_an_oversized_header(keeper: KeeperPeer) -> None:
    assert status_of(on_tcp(keeper, "GET", "/livez", b"X-Long: " + b"a" * 40_000)) == 431
    many = [b"X-%d: 1" % number for number in range(200)]
    assert status_of(on_tcp(keeper, "GET", "/livez", *many)) == 431


def test_an_oversized_body(keeper: KeeperPeer) -> None:
    (child,) = keeper.children
    token = b"Authorization: Bearer " + OPERATOR_TOKEN.encode()
    fields = [token, b"Content-Type: application/json", b"Content-Length: 70000"]
    answer = on_tcp(keeper, "POST", "/v1/components/app/signal", *fields)
    assert status_of(answer) == 413
    problem_of(answer)
    assert child.calls("signal") == []


def test_slow_headers_are_ended(keeper: KeeperPeer) -> None:
    """A client that never finishes its head is told so, and holds nobody up meanwhile."""
    with socket.create_connection(("127.0.0.1", keeper.port), timeout=30) as slow:
        slow.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        assert status_of(on_tcp(keeper, "GET", "/livez")) == 200
        answer = read_to_end(slow)
    assert status_of(answer) == 408
    problem_of(answer)


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/shutdown HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /v1/shutdown HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST /v1/shutdown HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"POST /v1/shutdown HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"POST /v1/shutdown HTTP/1.1\r\n\r\n",
        b"POST /v1/shutdown HTTP/1.1\nHost: x\n\n",
        b"POST /v1/shutdown HTTP/1.1\r\nHost : x\r\n\r\n",
        b"POST /v1/shutdown HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
    ],
)
def test_smuggling_never_reaches_a_handler(keeper: KeeperPeer, head: bytes) -> None:
    (child,) = keeper.children
    answer = exchange(keeper.api_socket, head)
    assert status_of(answer) in (400, 501)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert child.calls("shutdown") == []


def test_an_encoded_path_is_matched_as_it_is_meant(keeper: KeeperPeer) -> None:
    """Access is decided on the same normal form that is dispatched."""
    (child,) = keeper.children
    token = b"Authorization: Bearer " + APP_TOKEN.encode()
    for path in ("/v1/%73hutdown", "/v1/x/../shutdown", "/v1/./shutdown"):
        assert status_of(on_tcp(keeper, "POST", path, token)) == 403, path
    assert status_of(on_tcp(keeper, "POST", "/v1//shutdown", token)) == 404
    assert status_of(on_tcp(keeper, "POST", "/v1/components/a%2Fb/restart", token)) == 403
    assert child.calls("shutdown") == []
