"""What connections cost that just wait: plain ones beside some that work, and TLS ones."""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
from typing import TYPE_CHECKING

from bench import loading
from bench.ambassador import NAME
from bench.figure import Figure, Row, Target
from bench.figures.ambassador import CAVEATS
from bench.proxied import PEERS, start
from bench.proxy import target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.proxied import World
    from bench.proxy import Proxy
    from bench.workbench import Bench

_WITHIN = Target(128)
_GET = b"GET /50 HTTP/1.1\r\nHost: far.example.org\r\n\r\n"


def run(bench: Bench) -> list[Row]:
    """One proxy after the other: plain connections, then TLS ones."""
    idle, active, tls = (1000, 100, 150) if bench.quick else (10_000, 1000, 1500)
    world = start(bench)
    plain: list[Row] = []
    each: list[Row] = []
    secured: list[Row] = []
    for proxy in world.proxies:
        bound = _WITHIN if proxy.name == NAME else None
        before_mb = proxy.pss_mb()
        with _waiting(proxy.plain, idle, None):
            alone_mb = proxy.pss_mb()
            note = _work(bench, world, proxy, active)
            label = f"PSS, {idle} plain connections idle and {active} at work"
            plain.append(Row(label, proxy.name, "MiB", [proxy.pss_mb()], bound, note))
        label = "for each plain connection that waits"
        kilobytes = (alone_mb - before_mb) / idle * 1024
        each.append(Row(label, proxy.name, "KiB", [kilobytes]))
        with _waiting(proxy.tls, tls, _context()):
            label = f"PSS, {tls} TLS connections idle"
            secured.append(Row(label, proxy.name, "MiB", [proxy.pss_mb()], bound))
    return [*plain, *secured, *each]


def _work(bench: Bench, world: World, proxy: Proxy, active: int) -> str:
    where = target(bench, proxy.plain, "/50")
    seconds = bench.seconds(5, 1)
    got = loading.Loading(
        bench, where, active, seconds=seconds, think_ms=200, cpus={world.asking}
    ).result()
    return f"{got.requests / got.seconds:,.0f} requests/s meanwhile, {got.failures} failed"


@contextlib.contextmanager
def _waiting(port: int, count: int, context: ssl.SSLContext | None) -> Iterator[None]:
    """Connections on each of which one request was answered, and which then wait."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", port), timeout=30)
            if context is not None:
                sock = context.wrap_socket(sock)
            stack.callback(sock.close)
            sock.sendall(_GET)
            answer = b""
            while not answer.endswith(b"x" * 50):
                piece = sock.recv(4096)
                if not piece:
                    raise ConnectionError(f"a connection ended after {answer!r}")
                answer += piece
        yield


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


FIGURE = Figure(
    name="ambassador-idle",
    says="Memory of each proxy with 10,000 plain connections that wait beside 1,000 that work, and with 1,500 TLS connections that wait.",
    target="within 128 MB each",
    run=run,
    peers=PEERS,
    caveats=(
        "Every connection that waits has had one answer, as kept connections have.",
        *CAVEATS[:2],
    ),
)
