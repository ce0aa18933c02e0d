"""How soon a change of configuration is seen by a watcher in another sidecar, beside a watch of etcd's."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from typing import TYPE_CHECKING

from bench import api
from bench.etcd import Etcd, watch_body
from bench.figure import PILLION, Figure, Row, Target
from bench.instance import Instance
from bench.peers import ETCD
from bench.workbench import Bench, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

_KEY = "bench/tick"
_PATH = f"/v1/config/{_KEY}"
_BETWEEN_S = 0.02


class _Stream:
    """Notes when each line of a stream came that has a mark in it."""

    def __init__(self, sock: socket.socket, request: bytes) -> None:
        self._sock = sock
        self._request = request
        self.seen: list[tuple[float, bytes]] = []
        self.begun = threading.Event()
        self.thread = threading.Thread(target=self._read, name="watcher", daemon=True)
        self.thread.start()

    def _read(self) -> None:
        self._sock.sendall(self._request)
        try:
            while data := self._sock.recv(65536):
                self.seen.append((time.monotonic(), data))
                self.begun.set()
        except OSError:
            return  # closed by the figure

    def close(self) -> None:
        """End the watch."""
        self._sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)
        self._sock.close()


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
    ours = _delays(bench, _Stream(sock, request.encode()), write)
    etcd = Etcd(bench)
    etcd.put(_KEY, "first")
    body = json.dumps(watch_body(_KEY))
    head = f"POST /v3/watch HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    peer = socket.create_connection(("127.0.0.1", etcd.port))
    theirs = _delays(
        bench, _Stream(peer, (head + body).encode()), lambda mark: etcd.put(_KEY, mark), etcd=True
    )
    measure = "write begun to change seen by the watcher"
    return [
        Row(measure, f"{PILLION}: in another sidecar", "ms", ours, Target(50)),
        Row(measure, "etcd: HTTP gateway", "ms", theirs),
    ]


def _delays(
    bench: Bench, stream: _Stream, write: Callable[[str], None], *, etcd: bool = False
) -> list[float]:
    import base64

    if not stream.begun.wait(10):
        raise http.client.HTTPException("the watch does not begin")
    delays = []
    for number in range(bench.runs(100, 20)):
        mark = f"mark-{number:06d}"
        # Whole groups of three characters, so that the mark stands in base64 as it would alone.
        sought = base64.b64encode((mark + "z").encode()) if etcd else mark.encode()
        time.sleep(_BETWEEN_S)
        began = time.monotonic()
        write(mark + "z" if etcd else mark)
        wait_for(lambda text=sought: _when(stream, text) is not None, f"{mark} is seen")  # type: ignore[misc]
        seen = _when(stream, sought)
        assert seen is not None
        delays.append((seen - began) * 1e3)
    stream.close()
    return delays


def _when(stream: _Stream, text: bytes) -> float | None:
    return next((when for when, data in reversed(stream.seen) if text in data), None)


FIGURE = Figure(
    name="config-watch",
    says="A change of configuration on its way from one app's sidecar to a watcher of another's.",
    target="a change seen by a watcher in another sidecar at most 50 ms p50",
    run=run,
    peers=(ETCD,),
    caveats=("The time counts from before the write, so that the write is in it.",),
)
