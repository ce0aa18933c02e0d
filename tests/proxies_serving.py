"""A shipped template behind a real nginx or haproxy, and servers for it to lead to."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

from free_ports import free_port
from instance import wait_for
from proxies_rendering import facts_of, member, program_of, rendered, write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from pillion.proxies.templating.facts import ProxyKind
    from pillion.proxies.templating.references import Member

KINDS: tuple[ProxyKind, ...] = ("nginx", "haproxy")


class Server:
    """An HTTP server that answers with its name; `seen` are the headers of each request."""

    def __init__(self, name: str) -> None:
        seen: list[dict[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # A body that waits for the head's acknowledgement takes nginx 40 ms.
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                seen.append({key.lower(): value for key, value in self.headers.items()})
                body = name.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_OPTIONS = do_GET  # noqa: N815 # as the base class has it

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                self.do_GET()

            do_PATCH = do_POST  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.name = name
        self.seen = seen
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def member(self) -> Member:
        return member(self.name, self.port)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: object, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Answer:
    """Status, headers (names in lower case) and body."""

    def __init__(self, got: http.client.HTTPResponse) -> None:
        self.status = got.status
        self.headers = {name.lower(): value for name, value in got.getheaders()}
        self.body = got.read().decode()


class Serving:
    """A proxy that serves; `port` is where."""

    def __init__(self, directory: str, port: int, version: str) -> None:
        self.directory = directory
        self.port = port
        self.version = version

    def get(self, path: str = "/", method: str = "GET", **headers: str) -> Answer:
        """One request on a connection of its own; `_` in a header's name stands for a hyphen."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(client):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            client.request(method, path, headers=named)
            return Answer(client.getresponse())


@contextlib.contextmanager
def serving(
    kind: ProxyKind,
    template: str,
    values: Mapping[str, object],
    services: Mapping[str, Iterable[Member]] | None = None,
) -> Iterator[Serving]:
    """Start the proxy on a free port, and wait until it tells the version that was rendered."""
    with tempfile.TemporaryDirectory(prefix="t") as directory:
        port = free_port()
        facts = facts_of(kind, directory)
        # Workers of nginx are not root.
        os.chmod(directory, 0o755)
        found = rendered(
            kind,
            f"pillion:{template}",
            {"listen": f"127.0.0.1:{port}", **values},
            facts,
            services=services,
        )
        path = write(found, facts)
        command = {
            "nginx": [
                "-e",
                "stderr",
                "-p",
                facts.directory,
                "-c",
                path,
                "-g",
                f"daemon off; pid {directory}/nginx.pid;",
            ],
            "haproxy": ["-W", "-f", path],
        }[kind]
        process = subprocess.Popen(
            [program_of(kind), *command], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            wait_for("the proof of its version", lambda: proved(facts.proof_path) == found.version)
            yield Serving(directory, port, found.version)
        finally:
            process.send_signal(signal.SIGQUIT if kind == "nginx" else signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def proved(path: str) -> str | None:
    """The version that the proof on this socket tells; None when nobody does."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        try:
            client.connect(path)
            client.sendall(b"GET / HTTP/1.1\r\nHost: pillion-proof\r\n\r\n")
            answer = b""
            while part := client.recv(4096):
                answer += part
        except OSError:
            return None
    return answer.rpartition(b"\r\n\r\n")[2].decode()
