"""How soon a change of configuration is seen by a watcher in another sidecar, beside a watch of etcd's."""

from __future__ import annotations

import base64
import json
import socket
from typing import TYPE_CHECKING

from bench import api
from bench.etcd import Etcd, watch_body
from bench.figure import PILLION, Figure, Row, Target
from bench.instance import Instance
from bench.peers import ETCD
from bench.watching import Stream, delays

if TYPE_CHECKING:
    from bench.workbench import Bench

_KEY = "bench/tick"
_PATH = f"/v1/config/{_KEY}"


def run(bench: Bench) -> list[Row]:
    """Write marks one by one, and note when the other side sees each."""
    state = bench.fresh("s")
    one = Instance(bench, [bench.programs.first_act], state=state)
    other = Instance(bench, [bench.programs.first_act], state=state, beside=one)
    one.wait_ready()
    other.wait_ready()

    def write(mark: str) -> None:
        api.ask(one.socket, f"{_PATH}?layer=default", method="PUT", body={"value": mark})

    write("first")
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(other.socket)
    request = f"GET {_PATH} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
    ours = delays(bench, Stream(sock, request.encode()), write)
    etcd = Etcd(bench)
    etcd.put(_KEY, "first")
    body = json.dumps(watch_body(_KEY))
    head = f"POST /v3/watch HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    peer = socket.create_connection(("127.0.0.1", etcd.port))
    theirs = delays(
        bench,
        Stream(peer, (head + body).encode()),
        lambda mark: etcd.put(_KEY, mark + "z"),
        _in_base64,
    )
    measure = "write begun to change seen by the watcher"
    return [
        Row(measure, f"{PILLION}: in another sidecar", "ms", ours, Target(50)),
        Row(measure, "etcd: HTTP gateway", "ms", theirs),
    ]


def _in_base64(mark: str) -> bytes:
    # Whole groups of three characters, so that the mark stands in base64 as it would alone.
    return base64.b64encode((mark + "z").encode())


FIGURE = Figure(
    name="config-watch",
    says="A change of configuration on its way from one app's sidecar to a watcher of another's.",
    target="a change seen by a watcher in another sidecar at most 50 ms p50",
    run=run,
    peers=(ETCD,),
    caveats=("The time counts from before the write, so that the write is in it.",),
)
