"""A worker whose clients keep silent sleeps; and one whose agent is away for a minute works as before."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from ambassador_instance import Ambassador
from ambassador_policy import ORDERS, named, register, who
from instance import wait_for
from misbehaving import Misbehaving
from plain_client import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTIONS = 100
WATCHED_S = 8
WAKE_UPS = 6
"""In that time: a heartbeat, with its answer. Half a second's tick would be sixteen."""
AWAY_S = 60


def wake_ups(pid: int) -> int:
    """How often the threads of a process have gone to sleep since their start."""
    total = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/status", encoding="ascii", errors="replace") as file:
            fields = dict(line.split(":", 1) for line in file if ":" in line)
        total += int(fields["voluntary_ctxt_switches"])
    return total


def answered(sock: socket.socket) -> None:
    """Ask, and read the answer to its end."""
    sock.sendall(b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n")
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        assert piece
        data += piece


@pytest.fixture
def upstream() -> Iterator[Misbehaving]:
    with Misbehaving() as running:
        yield running


def test_a_worker_whose_clients_keep_silent_sleeps(upstream: Misbehaving) -> None:
    upstreams = {"far": f'urls = ["http://127.0.0.1:{upstream.port}"]'}
    more = '[ambassador.http]\nidle_timeout = "22s"\n'
    with Ambassador(upstreams, more) as ambassador, contextlib.ExitStack() as stack:
        port = ambassador.ports["far"]
        clients = []
        for _ in range(CONNECTIONS):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=90))
            answered(sock)
            clients.append(sock)
        pid = ambassador.pid
        quiet = 0

        def has_settled() -> bool:
            """The pool has given up its connections, and the last report is sent."""
            nonlocal quiet
            signal.sigtimedwait([signal.SIGUSR2], 1)
            before, quiet = quiet, wake_ups(pid)
            return quiet - before <= 1

        wait_for("it has settled", has_settled)
        before = wake_ups(pid)
        signal.sigtimedwait([signal.SIGUSR2], WATCHED_S)
        woken = wake_ups(pid) - before
        assert woken <= WAKE_UPS, woken
        # Whoever was asleep wakes up in time: a connection that is idle for too long is closed, and one that asks is served.
        answered(clients[0])
        for sock in clients[1:]:
            assert sock.recv(1) == b""
        assert ask(port, "/ok").status == 200


def test_half_a_head_is_given_up_in_its_time_after_a_long_sleep(upstream: Misbehaving) -> None:
    """The time of a request's head begins with its first byte, however long the connection was idle before."""
    upstreams = {"far": f'urls = ["http://127.0.0.1:{upstream.port}"]'}
    more = '[ambassador.http]\nheader_timeout = "2s"\nidle_timeout = "60s"\n'
    with Ambassador(upstreams, more) as ambassador:
        port = ambassador.ports["far"]
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
            answered(sock)
            signal.sigtimedwait([signal.SIGUSR2], 5)
            sock.sendall(b"GET /ok HT")
            signal.sigtimedwait([signal.SIGUSR2], 1)
            sock.sendall(b"TP/1.1\r\nHost: a\r\n\r\n")
            assert sock.recv(12) == b"HTTP/1.1 200"
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
            answered(sock)
            signal.sigtimedwait([signal.SIGUSR2], 3)
            sock.sendall(b"GET /ok HT")
            assert sock.recv(12) == b"HTTP/1.1 408"


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_an_agent_that_is_away_for_a_minute_is_not_missed() -> None:
    """Stopped, so that nobody replaces it before its heartbeat is missed; then killed and kept from coming back by SIGSTOP again."""
    with named("one", "two") as (one, two), Ambassador(ORDERS) as ambassador:
        instance = ambassador.instance
        register(instance, "orders", "one", one.port)
        wait_for("it answers", lambda: who(ambassador, 1) == {"one"})
        port = ambassador.ports["orders"]
        away: set[int] = set()
        calls = 0
        for _ in range(AWAY_S):
            pid = instance.component("agent").get("pid")
            if pid is not None and pid not in away:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    away.add(pid)
            for _ in range(20):
                answer = ask(port, "/")
                assert answer.status == 200, answer
                calls += 1
            signal.sigtimedwait([signal.SIGUSR2], 1)
        assert calls == 20 * AWAY_S
        for pid in away:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        instance.wait_state("agent")
        register(instance, "orders", "two", two.port)
        wait_for("the next policy", lambda: "two" in who(ambassador, 20))
        assert "policy-refused" not in instance.kinds()


def test_a_client_that_takes_nothing_is_told_from_one_that_left(upstream: Misbehaving) -> None:
    upstreams = {"far": f'urls = ["http://127.0.0.1:{upstream.port}"]'}
    more = '[ambassador.http]\nwrite_timeout = "1s"\n'
    with Ambassador(upstreams, more) as ambassador:
        address = ("127.0.0.1", ambassador.ports["far"])
        with socket.create_connection(address, timeout=60) as sock:
            sock.sendall(b"GET /stream/64 HTTP/1.1\r\nHost: a\r\n\r\n")
            record = ambassador.record(path="/stream/64")
        assert (record["status"], record["note"]) == (200, "write-timeout")
