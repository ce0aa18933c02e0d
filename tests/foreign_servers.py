"""Servers that are not ours, for the other side of the ambassador: Node.js, and Python's of HTTP/1.0."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAMS = Path(__file__).parent / "integration" / "ambassador" / "programs"


@contextlib.contextmanager
def node_upstream() -> Iterator[int]:
    """Run `upstream.mjs`; yields its port."""
    process = subprocess.Popen(
        ["node", str(_PROGRAMS / "upstream.mjs")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


class _OldHandler(BaseHTTPRequestHandler):
    """Answers of HTTP/1.0: without a length, and the connection's end is theirs."""

    def do_GET(self) -> None:
        """Say what was asked."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(f"{self.request_version} {self.path}".encode())

    def do_POST(self) -> None:
        """Say what was sent; the lengths of chunks are beyond it."""
        size = int(self.headers.get("Content-Length", "-1"))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"got " + self.rfile.read(size) if size >= 0 else b"got no length")

    def log_message(self, *_: object) -> None:
        """The test looks at the answers."""


@contextlib.contextmanager
def old_upstream() -> Iterator[int]:
    """Run Python's own server, which speaks HTTP/1.0; yields its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _OldHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
