"""How soon an instance that registers is found by another sidecar."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from bench import api
from bench.figure import PILLION, Figure, Row, Target
from bench.instance import Instance
from bench.watching import Stream, delays

if TYPE_CHECKING:
    from bench.workbench import Bench

_PATH = "/v1/services/tick"


def run(bench: Bench) -> list[Row]:
    """Register instances one by one, and note when a watcher of the service in another sidecar sees each."""
    state = bench.fresh("s")
    one = Instance(bench, [bench.programs.first_act], state=state)
    other = Instance(bench, [bench.programs.first_act], state=state, beside=one)
    one.wait_ready()
    other.wait_ready()

    def register(mark: str) -> None:
        body = {"address": "127.0.0.1", "port": 3000, "ttl": "1m"}
        api.ask(one.socket, f"{_PATH}/instances/{mark}", method="PUT", body=body)

    sock = socket.socket(socket.AF_UNIX)
    sock.connect(other.socket)
    request = f"GET {_PATH} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
    found = delays(bench, Stream(sock, request.encode()), register)
    measure = "registration begun to instance seen by the watcher"
    return [Row(measure, f"{PILLION}: in another sidecar", "ms", found, Target(100))]


FIGURE = Figure(
    name="discovery",
    says="An instance on its way from its registration in one sidecar to whoever resolves its service in another.",
    target="registration to resolution at most 100 ms on one host",
    run=run,
    peers=(),
    caveats=("The time counts from before the registration, so that its durable write is in it.",),
)
