"""An agent's life under its keeper: passive start, promotion, retirement with hand-over, stop, and a lost keeper."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

from keeper_peer import BOUND_S, KeeperPeer, component, eventually
from logs_spooling import Spool
from pillion.base.process_name import process_name

if TYPE_CHECKING:
    from keeper_peer import Child

RUN_TO_END = 0


def get(sock: socket.socket, path: str) -> bytes:
    """One answer on a connection that stays open."""
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return answer_on(sock)


def answer_on(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line[15:])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    while len(body) < length:
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


def connect(keeper: KeeperPeer) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(BOUND_S)
    sock.connect(keeper.api_socket)
    return sock


def test_its_first_words_and_its_name(keeper: KeeperPeer) -> None:
    child = keeper.start()
    hello = child.wait_for("hello")
    assert (hello["v"], hello["role"]) == (1, "agent")
    stats = child.wait_for("heartbeat")["stats"]
    assert stats["http_requests_total"] == 0
    assert stats["loop_lag_seconds"] >= 0
    assert process_name(child.pid) == "pillion-agent"


def test_stop_ends_it_at_once_when_nothing_is_under_way(keeper: KeeperPeer) -> None:
    child = keeper.start()
    with connect(keeper) as idle:
        assert b" 200 " in get(idle, "/livez")
        child.send({"op": "stop", "grace_s": 60.0})
        assert child.wait() == RUN_TO_END
    assert child.errors() == ""


def test_stop_lets_what_is_under_way_be_answered(keeper: KeeperPeer) -> None:
    held = threading.Event()

    def slow(_: object) -> object:
        held.wait(BOUND_S)
        return component("app")

    child = keeper.start()
    keeper.methods["restart"] = slow
    with connect(keeper) as busy:
        busy.sendall(b"POST /v1/components/app/restart HTTP/1.1\r\nHost: x\r\n\r\n")
        child.wait_for("call", lambda m: m["method"] == "restart")
        child.send({"op": "stop", "grace_s": 10.0})
        held.set()
        answer = answer_on(busy)
    # 200 from the keeper, or the agent's last word when its own end came first.
    assert answer[9:12] in (b"200", b"202")
    assert child.wait() == RUN_TO_END


def test_a_stream_is_ended_in_order_by_a_stop(keeper: KeeperPeer) -> None:
    spool = Spool(str(keeper.state_dir), stream="stdout")
    spool.write(b"line\n")
    child = keeper.start()
    with keeper.unix() as client, client.request("GET", "/v1/logs?follow") as answer:
        pieces = iter(answer)
        assert b"line" in next(pieces)
        child.send({"op": "stop", "grace_s": 10.0})
        assert list(pieces) == []
        assert answer.trailers is not None  # ended, not cut
    assert child.wait() == RUN_TO_END


def test_term_is_a_stop(keeper: KeeperPeer) -> None:
    child = keeper.start()
    os.kill(child.pid, signal.SIGTERM)
    assert child.wait() == RUN_TO_END


def test_a_lost_keeper_ends_it(keeper: KeeperPeer) -> None:
    child = keeper.start()
    child.sock.shutdown(socket.SHUT_RDWR)
    assert child.wait() == RUN_TO_END


def upgrade(keeper: KeeperPeer, old: Child) -> Child:
    """What the keeper does: the new one beside the old, then promote, then retire."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        new = keeper.start(passive=True, handover=theirs)
        new.send({"op": "promote"})
        old.send({"op": "retire", "drain_s": 10.0}, ours.fileno())
    return new


def test_a_passive_agent_accepts_nothing(keeper: KeeperPeer) -> None:
    child = keeper.start(passive=True)
    with connect(keeper) as sock:
        sock.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        child.wait_for("call", lambda m: m["method"] == "status")
        sock.settimeout(0.1)
        try:
            early = sock.recv(1)
        except TimeoutError:
            early = b""
        assert early == b""
        sock.settimeout(BOUND_S)
        child.send({"op": "promote"})
        assert answer_on(sock).startswith(b"HTTP/1.1 200 ")


def test_idle_connections_live_on_in_the_successor(keeper: KeeperPeer) -> None:
    old = keeper.start()
    idle = [connect(keeper) for _ in range(20)]
    for sock in idle:
        assert b" 200 " in get(sock, "/livez")
    new = upgrade(keeper, old)
    retired = old.wait_for("retired")
    assert (retired["handed"], retired["cut"]) == (20, 0)
    assert old.wait() == RUN_TO_END
    for sock in idle:
        assert b" 200 " in get(sock, "/livez")
        sock.close()
    adopted = new.wait_for(
        "heartbeat", lambda m: m["stats"]["http_connections_adopted_total"] == 20
    )
    assert adopted["stats"]["http_requests_total"] >= 0


def test_the_upgrades_own_answer_reaches_its_client(keeper: KeeperPeer) -> None:
    """The agent that is asked to upgrade is the one that is replaced, and still answers."""
    old = keeper.start()
    asked = threading.Event()
    keeper.methods["upgrade"] = lambda _: asked.set()
    with connect(keeper) as client:
        client.sendall(b"POST /v1/upgrade HTTP/1.1\r\nHost: x\r\n\r\n")
        assert asked.wait(BOUND_S)
        call = old.wait_for("call", lambda m: m["method"] == "upgrade")
        assert call["params"] == {"python": None}
        upgrade(keeper, old)
        facts = {"name": "agent", "from": "0.1.0", "to": "0.2.0", "pid": 5}
        old.send({"op": "reply", "id": call["id"], "result": {"upgraded": [facts]}})
        answer = answer_on(client)
        assert answer.startswith(b"HTTP/1.1 200 ")
        body: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert body == {"upgraded": [facts]}
    assert old.wait_for("retired")["cut"] == 0
    assert old.wait() == RUN_TO_END


def test_an_upgrade_whose_reply_comes_late_is_answered_all_the_same(keeper: KeeperPeer) -> None:
    old = keeper.start()
    asked = threading.Event()
    keeper.methods["upgrade"] = lambda _: asked.set()
    with connect(keeper) as client:
        client.sendall(b"POST /v1/upgrade HTTP/1.1\r\nHost: x\r\n\r\n")
        assert asked.wait(BOUND_S)
        upgrade(keeper, old)
        assert answer_on(client).startswith(b"HTTP/1.1 202 ")
    assert old.wait() == RUN_TO_END


def test_a_failed_upgrade_says_why_and_the_old_agent_serves(keeper: KeeperPeer) -> None:
    from keeper_peer import Refuse

    keeper.start()

    def broken(_: object) -> object:
        raise Refuse(500, "Upgrade failed", "cannot upgrade: the new agent did not become ready")

    keeper.methods["upgrade"] = broken
    with connect(keeper) as client:
        client.sendall(b"POST /v1/upgrade HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = answer_on(client)
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b"did not become ready" in answer
        assert b" 200 " in get(client, "/livez")


def test_no_new_connection_is_refused_across_an_upgrade(keeper: KeeperPeer) -> None:
    """Connections made at any time, each for one request: all answered, by one agent or the other."""
    old = keeper.start()
    failures: list[str] = []
    answered = [0]
    stop = threading.Event()

    def clients() -> None:
        while not stop.is_set():
            try:
                with connect(keeper) as sock:
                    if b" 200 " not in get(sock, "/livez"):
                        failures.append("status")
                answered[0] += 1
            except OSError as error:
                failures.append(repr(error))

    thread = threading.Thread(target=clients)
    thread.start()
    try:
        eventually(lambda: answered[0] > 20, "no answers before the upgrade")
        upgrade(keeper, old)
        assert old.wait() == RUN_TO_END
        before = answered[0]
        eventually(lambda: answered[0] > before + 20, "no answers after the upgrade")
    finally:
        stop.set()
        thread.join(BOUND_S)
    assert failures == []
