"""What an agent does when others die, hang or misbehave."""

from __future__ import annotations

import os
import resource
import signal
import socket
from typing import TYPE_CHECKING

from held import hold
from keeper_peer import BOUND_S, eventually
from logs_spooling import Spool

if TYPE_CHECKING:
    from keeper_peer import KeeperPeer

GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


def connect(keeper: KeeperPeer) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(BOUND_S)
    sock.connect(keeper.api_socket)
    return sock


def get(sock: socket.socket) -> bytes:
    sock.sendall(GET)
    data = b""
    while not data.endswith(b'{"alive":true}'):
        part = sock.recv(65536)
        assert part, data
        data += part
    return data


def alive(keeper: KeeperPeer) -> bool:
    with connect(keeper) as sock:
        return b"200 OK" in get(sock)


def test_a_successor_that_dies_before_the_hand_over_costs_no_request(keeper: KeeperPeer) -> None:
    old = keeper.start()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with connect(keeper) as idle:
        get(idle)
        new = keeper.start(passive=True, handover=theirs)
        theirs.close()
        new.process.kill()
        new.wait()
        old.send({"op": "retire", "drain_s": 10.0}, ours.fileno())
        ours.close()
        # Nobody takes the connection: it is served on, and told to close.
        eventually(lambda: b"connection: close" in get(idle).lower(), "the connection was not told")
    retired = old.wait_for("retired")
    assert (retired["handed"], retired["cut"]) == (0, 0)
    assert old.wait() == 0


def test_a_predecessor_that_dies_while_handing_over_is_told_in_the_journal(
    keeper: KeeperPeer,
) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    new = keeper.start(passive=True, handover=theirs)
    theirs.close()
    new.send({"op": "promote"})
    ours.close()
    event = new.wait_for("event", lambda m: m["kind"] == "handed-over")
    assert event["data"] == {"adopted": 0, "complete": False}
    assert alive(keeper)


def test_nonsense_on_the_hand_over_socket_does_not_end_it(keeper: KeeperPeer) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        new = keeper.start(passive=True, handover=theirs)
        theirs.close()
        new.send({"op": "promote"})
        ours.send(b"nonsense\n")
        event = new.wait_for("event", lambda m: m["kind"] == "handed-over")
        assert "not a hand-over message" in event["reason"]
    assert alive(keeper)


def test_a_stopped_agent_goes_on_where_it_was_and_says_how_late(keeper: KeeperPeer) -> None:
    child = keeper.start()
    with connect(keeper) as idle:
        get(idle)
        hold(child.pid)
        idle.sendall(GET)
        beats = len(child.said)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        child.process.poll()
        with child.heard:
            # The span of the fault itself, whatever was said just before it.
            child.heard.wait_for(lambda: False, 1.0)
        assert len(child.said) <= beats + 1
        os.kill(child.pid, signal.SIGCONT)
        assert b"200 OK" in idle.recv(65536)
    late = child.wait_for(
        "heartbeat", lambda m: m["stats"].get("loop_lag_worst_seconds", 0.0) > 0.3
    )
    assert late["op"] == "heartbeat"


def test_abort_leaves_a_trace_of_every_thread(keeper: KeeperPeer) -> None:
    child = keeper.start()
    os.kill(child.pid, signal.SIGABRT)
    assert child.wait() == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in child.errors()


def test_a_silent_keeper_costs_the_api_nothing(keeper: KeeperPeer) -> None:
    child = keeper.start()
    with keeper.unix() as client, client.request("GET", "/v1/components") as answer:
        answer.read()
    keeper.methods["status"] = lambda _: None
    for _ in range(50):
        assert alive(keeper)
    with keeper.unix() as client, client.request("GET", "/metrics") as answer:
        # From what was said last: a gap would hide the rest.
        assert b'pillion_component_up{component="app"} 1' in answer.read()
    assert child.process.poll() is None


def test_a_client_that_does_not_read_its_stream_hinders_nobody(keeper: KeeperPeer) -> None:
    spool = Spool(str(keeper.state_dir), stream="stdout")
    for _ in range(100):
        spool.write(b"x" * 1000 + b"\n" + b"y" * 60_000 + b"\n")
    child = keeper.start()
    with connect(keeper) as deaf:
        deaf.sendall(b"GET /v1/logs?follow&limit=100000 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert deaf.recv(1)
        assert all(alive(keeper) for _ in range(20))
        busy = child.wait_for("heartbeat", lambda m: m["stats"]["http_connections_busy"] == 1)
        # What it does not take stays in the spool, not in our memory.
        assert busy["stats"]["http_sent_bytes_total"] < 2_000_000
    child.wait_for(
        "heartbeat",
        lambda m: (
            m["stats"]["http_requests_total"] > 20 and m["stats"]["http_connections_busy"] == 0
        ),
    )


def test_clients_that_leave_their_streams_leave_nothing_open(keeper: KeeperPeer) -> None:
    Spool(str(keeper.state_dir), stream="stdout").write(b"line\n")
    Spool(str(keeper.state_dir), stream="events").write(b'{"time": "t", "kind": "started"}\n')
    child = keeper.start()

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{child.pid}/fd"))

    before = descriptors()
    for _ in range(5):
        for path in ("/v1/logs?follow", "/v1/events?follow"):
            with keeper.unix() as client, client.request("GET", path) as answer:
                assert next(iter(answer))
    # Ten streams, each with a file watch and a segment: less than one descriptor of each may stay (the loop's own).
    eventually(lambda: descriptors() < before + 5, "streams that nobody reads are still open")


def test_out_of_descriptors_it_waits_and_recovers(keeper: KeeperPeer) -> None:
    child = keeper.start()
    open_now = len(os.listdir(f"/proc/{child.pid}/fd"))
    resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (open_now + 10, open_now + 10))
    with connect(keeper) as first:
        get(first)
        crowd = [connect(keeper) for _ in range(50)]
        # Nobody is refused: they wait in the backlog.
        child.wait_for("heartbeat", lambda m: m["stats"]["http_accept_errors_total"] > 0)
        assert b"200 OK" in get(first)
        for sock in crowd:
            sock.close()
    assert alive(keeper)
