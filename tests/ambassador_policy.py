"""Real servers that answer with their names, and a real instance whose policy sends calls to them."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from plain_client import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ambassador_instance import Ambassador
    from instance import Instance

ORDERS = {"orders": 'service = "orders"\nretry = { attempts = 2 }'}


class Named(socketserver.ThreadingTCPServer):
    """Answers every request with its name."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, name: str) -> None:
        self.name = name

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                body = name.encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


@contextmanager
def named(*names: str) -> Iterator[list[Named]]:
    """Servers of these names."""
    with ExitStack() as stack:
        servers = []
        for name in names:
            server = stack.enter_context(Named(name))
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            stack.callback(server.shutdown)
            servers.append(server)
        yield servers


def put(instance: Instance, path: str, body: object, method: str = "PUT") -> tuple[int, Any]:
    """Ask the agent's API on its Unix socket."""
    done = subprocess.run(
        ["curl", "-sS", "-X", method, "-w", "\n%{http_code}", "-H", "content-type: application/json",
         "--unix-socket", os.path.join(instance.runtime, "api.sock"), "-d", json.dumps(body),
         f"http://pillion{path}"],
        capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    text, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(text) if text.strip() else None


def register(instance: Instance, service: str, name: str, port: int, **more: object) -> None:
    path = f"/v1/services/{service}/instances/{name}"
    status, answer = put(instance, path, {"address": "127.0.0.1", "port": port, **more})
    assert status in (200, 201), answer


def who(ambassador: Ambassador, count: int = 10, upstream: str = "orders") -> set[str]:
    """Who answers; an answer of the ambassador's own is its reason."""
    found = set()
    for _ in range(count):
        answer = ask(ambassador.ports[upstream], "/")
        found.add(answer.body.decode() if answer.status == 200 else answer.field("pillion-reason"))
    return found


def policy(instance: Instance) -> dict[str, Any]:
    with open(os.path.join(instance.runtime, "ambassador.json")) as file:
        found: dict[str, Any] = json.load(file)
    return found
