"""A long stream to a slow reader: what each proxy holds of it in memory."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from bench.ambassador import NAME
from bench.figure import Figure, Row, Target
from bench.figures.ambassador import CAVEATS
from bench.proxied import PEERS, start

if TYPE_CHECKING:
    from bench.proxy import Proxy
    from bench.workbench import Bench

_PIECE = 1 << 20
_PAUSE_S = 0.01


def run(bench: Bench) -> list[Row]:
    """One proxy after the other."""
    size = (64 if bench.quick else 1024) << 20
    world = start(bench)
    most: list[Row] = []
    cpu: list[Row] = []
    for proxy in world.proxies:
        before_s = proxy.cpu_s()
        most_mb, took_s = _stream(proxy, size)
        bound = Target(64) if proxy.name == NAME else None
        note = f"{size >> 20} MiB in {took_s:.0f} s"
        most.append(
            Row("most memory while it streams, PSS", proxy.name, "MiB", [most_mb], bound, note)
        )
        milliseconds = (proxy.cpu_s() - before_s) * 1e3 / (size >> 20)
        cpu.append(Row("CPU", proxy.name, "ms a MiB", [milliseconds]))
    return [*most, *cpu]


def _stream(proxy: Proxy, size: int) -> tuple[float, float]:
    """Read `size` bytes slowly. Returns the most memory in MiB, and seconds."""
    began = time.monotonic()
    most_mb = proxy.pss_mb()
    received = -1
    with socket.create_connection(("127.0.0.1", proxy.plain), timeout=60) as sock:
        sock.sendall(f"GET /{size} HTTP/1.1\r\nHost: far.example.org\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        received = len(head.partition(b"\r\n\r\n")[2])
        looked = 0
        while received < size:
            piece = sock.recv(_PIECE)
            if not piece:
                raise ConnectionError(f"{proxy.name} ended the stream after {received} bytes")
            received += len(piece)
            if received - looked >= _PIECE:
                looked = received
                time.sleep(_PAUSE_S)
                most_mb = max(most_mb, proxy.pss_mb())
    return most_mb, time.monotonic() - began


FIGURE = Figure(
    name="ambassador-stream",
    says="1 GB through each proxy to a reader that takes 100 MB a second at most.",
    target="the ambassador within 64 MB",
    run=run,
    peers=PEERS,
    caveats=CAVEATS[:2],
)
