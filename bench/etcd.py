"""An etcd of one member for a figure: on loopback, with its data on the same disk, asked over its HTTP gateway."""

from __future__ import annotations

import base64
import http.client
import json
import socket
from typing import TYPE_CHECKING, Any

from bench.peers import ETCD
from bench.workbench import Bench, wait_for

if TYPE_CHECKING:
    import subprocess


class Etcd:
    """A running etcd; `port` is its client port."""

    def __init__(self, bench: Bench, cpus: set[int] | None = None) -> None:
        folder = bench.fresh("e")
        self.port, peer = _free_port(), _free_port()
        url, peers = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{peer}"
        self.process: subprocess.Popen[bytes] = bench.spawn(
            [
                bench.peers.paths[ETCD],
                "--data-dir",
                f"{folder}/data",
                "--listen-client-urls",
                url,
                "--advertise-client-urls",
                url,
                "--listen-peer-urls",
                peers,
                "--initial-advertise-peer-urls",
                peers,
                "--initial-cluster",
                f"default={peers}",
                "--log-level",
                "error",
            ],
            cpus=cpus,
        )
        wait_for(self._answers, "etcd answers", 30)

    def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask the gateway. Raises OSError when it does not answer with success."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", path, json.dumps(body))
            answer = connection.getresponse()
            text = answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"no answer from etcd: {error!r}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise OSError(f"etcd answered {answer.status} to {path}: {text[:200]!r}")
        found: dict[str, Any] = json.loads(text)
        return found

    def put(self, key: str, value: str) -> None:
        """Write one key."""
        self.call("/v3/kv/put", put_body(key, value))

    def _answers(self) -> bool:
        try:
            self.put("up", "1")
        except OSError:
            return False
        return True


def put_body(key: str, value: str) -> dict[str, str]:
    """The body of a put."""
    return {"key": _coded(key), "value": _coded(value)}


def range_body(key: str) -> dict[str, str]:
    """The body of a read of one key."""
    return {"key": _coded(key)}


def watch_body(key: str) -> dict[str, Any]:
    """The body that begins a watch of one key."""
    return {"create_request": {"key": _coded(key)}}


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])
