"""Watchers that do not read, and many who come at once: the agent holds little for them, and they miss nothing."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

from config_http import Stream, ask, get, metric, put
from instance import wait_for

if TYPE_CHECKING:
    from config_client import Client
    from instance import Host, Instance

SETTINGS = '[service]\nname = "shop"\nregister = false\n'
WRITES = 800
VALUE = "x" * 8000
"""So many of these are more than the agent remembers, and than the socket's buffers hold."""


def start(host: Host) -> Instance:
    instance = host.run("sleep", "600", name="one", settings=SETTINGS)
    instance.wait_state("app")
    instance.wait_state("agent")
    return instance


def write_many(instance: Instance, count: int) -> None:
    step = 100
    for begin in range(0, count, step):
        items = [
            {"key": "k", "value": f"{number} {VALUE}"} for number in range(begin, begin + step)
        ]
        answer = ask(instance, "POST", "/v1/config", {"items": items}, timeout=60.0)
        assert answer.status == 200, answer.body


def test_a_watcher_that_does_not_read_for_longer_than_is_remembered(host: Host) -> None:
    one = start(host)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(f"{one.runtime}/api.sock")
        sock.sendall(
            b"GET /v1/config/k HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n"
            b"connection: close\r\n\r\n"
        )
        read = sock.makefile("rb")
        while b"event: current" not in read.readline():
            pass
        write_many(one, WRITES)
        assert get(one, "k").body["value"].startswith(f"{WRITES - 1} ")
        wait_for("it is forgotten", lambda: metric(one, "config_ring_dropped_total"))
        seen: list[int] = []
        while not seen or seen[-1] != WRITES - 1:
            line = read.readline()
            assert line
            if line.startswith(b"data:"):
                data = json.loads(line[5:])
                if "value" in data:
                    seen.append(int(data["value"].split()[0]))
        assert seen == list(range(WRITES))
    assert metric(one, "config_changes_replayed_total") > 0
    assert metric(one, "config_watchers_reset_total") == 0


def test_more_streams_than_there_may_be_are_refused_and_the_others_go_on(host: Host) -> None:
    one = start(host)
    put(one, "k", 0)
    streams = [Stream(one, "/v1/config/k") for _ in range(64)]
    try:
        for stream in streams:
            stream.wait("the snapshot", lambda client: client.seen)
        refused = _status_of_a_stream(one)
        assert refused == 503
        put(one, "k", 1)
        for stream in streams:
            stream.wait("the change", _has_one)
    finally:
        for stream in streams:
            stream.close()


def _has_one(client: Client) -> bool:
    return bool(client.seen["k"][2] == 1)


def _status_of_a_stream(instance: Instance) -> int:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(f"{instance.runtime}/api.sock")
        sock.sendall(b"GET /v1/config HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n")
        return int(sock.recv(64).split()[1])
