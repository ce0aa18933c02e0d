"""Memory stays flat: whatever streams through, however slowly it is taken, and however many connections just wait."""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest

from ambassador_certificates import Authority
from ambassador_instance import QUICK, Ambassador
from free_ports import free_ports
from instance import wait_for
from misbehaving import Misbehaving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_MOST_KB = 64 << 10
_MOST_MANY_KB = 128 << 10
_GET = b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n"
_PATIENT = QUICK.replace('connect = "400ms"', 'connect = "20s"')
_PATIENT = _PATIENT.replace('try = "1s"', 'try = "120s"').replace('total = "3s"', 'total = "0s"')


@pytest.fixture(scope="module")
def upstream() -> Iterator[Misbehaving]:
    """A server that can stream."""
    with Misbehaving() as server:
        yield server


@pytest.fixture(scope="module")
def ambassador(upstream: Misbehaving) -> Iterator[Ambassador]:
    """An instance with time for slow peers."""
    policy = _PATIENT.replace('idle = "600ms"', 'idle = "60s"')
    url = f'urls = ["http://127.0.0.1:{upstream.port}"]'
    more = '[ambassador.http]\nconnections = 12000\nwrite_timeout = "60s"\nidle_timeout = "300s"'
    with Ambassador({"far": f"{url}\n{policy}"}, more) as running:
        yield running


@pytest.mark.parametrize(
    "mebibytes",
    [
        pytest.param(256, id="256MiB"),
        pytest.param(1024, id="1GiB", marks=[pytest.mark.soak, pytest.mark.timeout(600)]),
    ],
)
def test_a_slow_reader_holds_the_sender_back(
    ambassador: Ambassador, upstream: Misbehaving, mebibytes: int
) -> None:
    began_at = upstream.sent_bytes["stream"]

    def under_way() -> int:
        return upstream.sent_bytes["stream"] - began_at - received

    received = 0
    with _connected(ambassador.ports["far"]) as sock:
        sock.sendall(f"GET /stream/{mebibytes} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        head, _, rest = _until(sock, b"\r\n\r\n").partition(b"\r\n\r\n")
        assert f"content-length: {mebibytes << 20}".encode() in head.lower()
        received = len(rest)
        for part in range(1, 5):
            # Nobody reads: the sender must come to rest, with little under way.
            _wait_still(under_way)
            assert under_way() < _buffers()
            assert ambassador.rss_kb() < _MOST_KB
            while received < (mebibytes << 20) * part // 4:
                received += len(sock.recv(1 << 18))
        assert received == mebibytes << 20
    assert ambassador.most_rss_kb() < _MOST_KB


@pytest.mark.parametrize(
    "mebibytes",
    [
        pytest.param(128, id="128MiB"),
        pytest.param(1024, id="1GiB", marks=[pytest.mark.soak, pytest.mark.timeout(600)]),
    ],
)
def test_a_slow_upstream_holds_the_client_back(
    ambassador: Ambassador, upstream: Misbehaving, mebibytes: int
) -> None:
    size = mebibytes << 20
    most_kb = 0
    with _connected(ambassador.ports["far"]) as sock:
        sock.sendall(f"PUT /sip HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode())
        piece = bytes(1 << 20)
        for _ in range(mebibytes):
            sock.sendall(piece)
            most_kb = max(most_kb, ambassador.rss_kb())
        answer = _until(sock, str(size).encode())
    assert answer.startswith(b"HTTP/1.1 200")
    assert most_kb < _MOST_KB


def test_a_client_that_leaves_in_the_middle_ends_the_stream(
    ambassador: Ambassador, upstream: Misbehaving
) -> None:
    files = ambassador.open_files()
    for _ in range(20):
        with _connected(ambassador.ports["far"]) as sock:
            sock.sendall(b"GET /stream/1024 HTTP/1.1\r\nHost: a\r\n\r\n")
            sock.recv(1 << 16)
    wait_for("the connections are closed", lambda: ambassador.open_files() <= files + 2)
    assert ambassador.most_rss_kb() < _MOST_KB


@pytest.mark.parametrize(
    ("idle", "active"),
    [
        pytest.param(1000, 100, id="1000"),
        pytest.param(10_000, 1000, id="10000", marks=[pytest.mark.soak, pytest.mark.timeout(600)]),
    ],
)
def test_many_connections_that_wait_beside_some_that_work(
    ambassador: Ambassador, idle: int, active: int
) -> None:
    with contextlib.ExitStack() as stack, _files(idle + 3 * active + 500):
        before_kb = ambassador.rss_kb()
        waiting: list[socket.socket] = []
        for _ in range(0, idle, 200):
            some = [stack.enter_context(_connected(ambassador.ports["far"])) for _ in range(200)]
            _ask_all(some)
            waiting += some
        grown_kb = ambassador.rss_kb() - before_kb
        assert grown_kb < idle * 6, f"{grown_kb / idle:.1f} KiB for each that waits"
        working = [stack.enter_context(_connected(ambassador.ports["far"])) for _ in range(active)]
        for _ in range(5):
            _ask_all(working)
        _ask_all(waiting[:100])
        assert ambassador.rss_kb() < (_MOST_MANY_KB if idle > 1000 else _MOST_KB)


@pytest.mark.parametrize(
    "idle",
    [
        pytest.param(150, id="150"),
        pytest.param(1500, id="1500", marks=[pytest.mark.soak, pytest.mark.timeout(600)]),
    ],
)
def test_many_connections_of_tls_that_wait(
    upstream: Misbehaving, tmp_path: Path, idle: int
) -> None:
    with (
        _secure(upstream, tmp_path) as (running, connect),
        contextlib.ExitStack() as stack,
        _files(idle + 500),
    ):
        before_kb = running.rss_kb()
        waiting: list[socket.socket] = []
        for _ in range(idle):
            waiting.append(stack.enter_context(connect()))
            _ask_all(waiting[-1:])
        grown_kb = running.rss_kb() - before_kb
        assert grown_kb < idle * 80, f"{grown_kb / idle:.1f} KiB for each that waits"
        _ask_all(waiting[:100])
        assert running.rss_kb() < _MOST_MANY_KB


def test_large_bodies_over_tls_leave_little_behind(upstream: Misbehaving, tmp_path: Path) -> None:
    """What waits for a slow reader is sealed already, in a buffer that keeps the size it grew to."""
    count, mebibytes = 60, 2
    with _secure(upstream, tmp_path) as (running, connect), contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect()) for _ in range(count)]
        for sock in socks:
            _ask_all([sock])
        before_kb = running.rss_kb()
        for sock in socks:
            sock.sendall(f"GET /stream/{mebibytes} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        for sock in socks:
            _, _, rest = _until(sock, b"\r\n\r\n").partition(b"\r\n\r\n")
            received = len(rest)
            while received < mebibytes << 20:
                received += len(sock.recv(1 << 18))
            assert received == mebibytes << 20
        grown_kb = running.most_rss_kb() - before_kb
        assert grown_kb < count * 420, f"{grown_kb / count:.1f} KiB for each"


@contextlib.contextmanager
def _secure(
    upstream: Misbehaving, folder: Path
) -> Iterator[tuple[Ambassador, Callable[[], ssl.SSLSocket]]]:
    """An instance with TLS in front, and how to connect to it."""
    authority = Authority(folder)
    pair = authority.issue("server", dns=("shop.example",))
    context = ssl.create_default_context(cafile=authority.file)
    (port,) = free_ports(1)
    inbound = f'''
[app]
port = {upstream.port}
[inbound]
listen = "127.0.0.1:{port}"
tls = {{ cert_file = "{pair.cert}", key_file = "{pair.key}" }}
[ambassador.http]
idle_timeout = "600s"
'''
    with Ambassador({}, inbound) as running:
        yield (
            running,
            lambda: context.wrap_socket(_connected(port), server_hostname="shop.example"),
        )


def _ask_all(socks: list[socket.socket]) -> None:
    """A request on each at the same time, and every answer."""
    for sock in socks:
        sock.sendall(_GET)
    for sock in socks:
        head = _until(sock, b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        assert head.endswith(b"ok") or _until(sock, b"ok") == b"ok"


def _buffers() -> int:
    """What can be under way between the ends of a stream: the buffers of four sockets, as far as the kernel lets them grow, and ours."""
    most = 0
    for name in ("tcp_rmem", "tcp_wmem"):
        with open(f"/proc/sys/net/ipv4/{name}", encoding="ascii") as file:
            most += int(file.read().split()[2])
    return 2 * most + (4 << 20)


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def _until(sock: socket.socket, end: bytes) -> bytes:
    """Read until `end` has come, and what came with it."""
    data = b""
    while end not in data:
        more = sock.recv(1 << 16)
        assert more, f"the connection ended after {data!r}"
        data += more
    return data


def _wait_still(number: Callable[[], int]) -> None:
    """Wait until a count has not moved for a while."""
    still = threading.Event()
    last, same = -1, 0

    def quiet() -> bool:
        nonlocal last, same
        now = number()
        same = same + 1 if now == last else 0
        last = now
        still.wait(0.01)
        return same >= 10

    wait_for("the sender has come to rest", quiet)


@contextlib.contextmanager
def _files(count: int) -> Iterator[None]:
    """Room for so many descriptors in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count, hard)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
