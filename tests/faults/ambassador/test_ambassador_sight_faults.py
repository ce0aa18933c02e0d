"""Whoever takes the records stands still: requests do not notice, memory stays bounded, and what is lost is counted."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from typing import TYPE_CHECKING

from ambassador_instance import Ambassador
from held import hold
from instance import wait_for
from pillion.ambassador.outlet import KEPT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

# Answered by the worker itself, so that requests cost nobody else anything.
ROUTE = """
[[ambassador.routes]]
listener = "orders"
match = { path = "/" }
answer = 204
"""
UPSTREAMS = {"orders": 'urls = ["http://127.0.0.1:9"]'}
FEW = 400
# With records of 2 KiB several times what socket and worker keep.
MANY = 4000


@contextlib.contextmanager
def scribe_stopped(ambassador: Ambassador) -> Iterator[None]:
    pid = int(ambassador.instance.component("scribe")["pid"])
    hold(pid)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def ask_many(ambassador: Ambassador, count: int, path: str) -> float:
    """Ask one after the other on one connection; return the longest wait in seconds."""
    longest = 0.0
    with socket.create_connection(("127.0.0.1", ambassador.ports["orders"]), timeout=20) as client:
        for number in range(count):
            began = time.monotonic()
            client.sendall(f"GET {path}?n={number} HTTP/1.1\r\nhost: orders\r\n\r\n".encode())
            answer = b""
            while b"\r\n\r\n" not in answer:
                part = client.recv(4096)
                assert part, f"the connection ended after {number} answers"
                answer += part
            assert answer.startswith(b"HTTP/1.1 204"), answer
            longest = max(longest, time.monotonic() - began)
    return longest


def stat(ambassador: Ambassador, name: str) -> int:
    return int(ambassador.instance.component("ambassador").get("stats", {}).get(name, 0))


def test_requests_go_on_while_the_scribe_stands_still_and_no_record_is_lost() -> None:
    with Ambassador(UPSTREAMS, ROUTE) as ambassador:
        with scribe_stopped(ambassador):
            longest_s = ask_many(ambassador, FEW, "/few")
        assert longest_s < 5
        wait_for("every record", lambda: len(ambassador.records()) >= FEW)
        found = [record["query"] for record in ambassador.records()]
        assert found == [f"n={number}" for number in range(FEW)]


def test_beyond_the_bound_the_oldest_records_are_dropped_and_counted() -> None:
    with Ambassador(UPSTREAMS, ROUTE) as ambassador:
        ask_many(ambassador, 10, "/before")
        before_kb = ambassador.rss_kb()
        with scribe_stopped(ambassador):
            longest_s = ask_many(ambassador, MANY, "/" + "x" * 2000)
            grown_kb = ambassador.rss_kb() - before_kb
        assert longest_s < 5
        assert grown_kb * 1024 < 8 * KEPT_BYTES
        ask_many(ambassador, 1, "/after")
        ambassador.record(path="/after")

        def counted() -> bool:
            dropped = stat(ambassador, "ambassador_log_dropped_total")
            lines = stat(ambassador, "ambassador_log_lines_total")
            return dropped > 0 and dropped + lines == MANY + 11

        wait_for("what was dropped is told", counted, 40)
        dropped = stat(ambassador, "ambassador_log_dropped_total")
        assert len(ambassador.records()) == MANY + 11 - dropped
        # What was kept is the newest.
        last = [r["query"] for r in ambassador.records() if r["path"].startswith("/xxx")][-1]
        assert last == f"n={MANY - 1}"
