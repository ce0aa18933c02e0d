"""Upstreams that bear witness to what they have read: five parsers by five hands, behind one interface.

A request counts when it was read to its end. What a witness could not read is no accident: the ambassador has sent it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import h11

from free_ports import free_port
from instance import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PROGRAMS = Path(__file__).parent / "integration" / "ambassador" / "programs"


class Seen(NamedTuple):
    """A request as a witness has read it."""

    method: str
    target: str
    body: str


class Testimony(NamedTuple):
    """What was read since the last question, and what could not be read."""

    seen: list[Seen]
    refused: list[str]


class Witness(NamedTuple):
    """An upstream at `port`; `tell` is asked without the ambassador. Every answer holds its request's target."""

    name: str
    port: int
    tell: Callable[[], Testimony]


@contextlib.contextmanager
def _program(name: str, *command: str, env: dict[str, str] | None = None) -> Iterator[Witness]:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | (env or {})
    )
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())

        def tell() -> Testimony:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/__seen", timeout=10) as answer:
                told = json.load(answer)
            return Testimony([Seen(*one) for one in told["seen"]], told["refused"])

        yield Witness(name, port, tell)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def node() -> contextlib.AbstractContextManager[Witness]:
    """Node.js: llhttp."""
    return _program("node", "node", str(_PROGRAMS / "witness.mjs"))


def python_aiohttp() -> contextlib.AbstractContextManager[Witness]:
    """aiohttp with its parser in Python."""
    program = str(_PROGRAMS / "witness_aiohttp.py")
    return _program("aiohttp", sys.executable, program, env={"AIOHTTP_NO_EXTENSIONS": "1"})


class _Notes:
    """What threads have seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: list[Seen] = []
        self._refused: list[str] = []

    def saw(self, method: str, target: str, body: bytes) -> None:
        with self._lock:
            self._seen.append(Seen(method, target, body.decode("latin-1")))

    def refuse(self, why: str) -> None:
        with self._lock:
            self._refused.append(why)

    def tell(self) -> Testimony:
        with self._lock:
            told = Testimony(self._seen, self._refused)
            self._seen, self._refused = [], []
        return told


class _Handler(BaseHTTPRequestHandler):
    """Reads bodies as programs do that were written in an afternoon: by `int`, and by `readline`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    notes: _Notes

    def _serve(self) -> None:
        length = self.headers.get("Content-Length")
        if self.headers.get("Transfer-Encoding", "").strip().lower().endswith("chunked"):
            body = self._chunks()
        elif length:
            body = self.rfile.read(int(length))
            if len(body) < int(length):
                body = None
        else:
            body = b""
        if body is None:
            self.close_connection = True
            return
        target = self.requestline.split(" ")[1]  # `path` has lost a slash where it began with two
        self.notes.saw(self.command, target, body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(target)))
        self.end_headers()
        self.wfile.write(target.encode("latin-1"))

    def _chunks(self) -> bytes | None:
        body = b""
        while True:
            line = self.rfile.readline()
            if not line.endswith(b"\n"):
                return None
            size = int(line.partition(b";")[0], 16)
            if size == 0:
                while (line := self.rfile.readline()).strip():
                    pass
                return body if line else None
            chunk = self.rfile.read(size)
            if len(chunk) < size or not self.rfile.readline():
                return None
            body += chunk

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Whatever the method is called, it is served."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        self.notes.refuse(format % args)

    def log_message(self, *_: object) -> None:
        """The testimony says it."""


@contextlib.contextmanager
def python_server() -> Iterator[Witness]:
    """Python's http.server, which believes what it reads."""
    notes = _Notes()
    handler = type("Handler", (_Handler,), {"notes": notes})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield Witness("http.server", server.server_port, notes.tell)
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def python_h11() -> Iterator[Witness]:
    """A server on h11, the strictest parser that there is beside ours."""
    notes = _Notes()
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    port = int(listener.getsockname()[1])

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_serve_h11, args=(sock, notes), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield Witness("h11", port, notes.tell)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _serve_h11(sock: socket.socket, notes: _Notes) -> None:
    conn = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    with sock, contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            request, body = None, b""
            try:
                while True:
                    event = conn.next_event()
                    if event is h11.NEED_DATA:
                        if conn.they_are_waiting_for_100_continue:
                            sock.sendall(
                                conn.send(h11.InformationalResponse(status_code=100, headers=[]))
                                or b""
                            )
                        data = sock.recv(65536)
                        if not data:
                            return
                        conn.receive_data(data)
                    elif isinstance(event, h11.Request):
                        request = event
                    elif isinstance(event, h11.Data):
                        body += event.data
                    elif isinstance(event, h11.EndOfMessage):
                        break
                    else:
                        return
            except h11.RemoteProtocolError as error:
                notes.refuse(str(error))
                return
            assert request is not None
            notes.saw(request.method.decode(), request.target.decode(), body)
            headers = [("content-length", str(len(request.target)))]
            for event in (
                h11.Response(status_code=200, headers=headers),
                h11.Data(data=request.target),
                h11.EndOfMessage(),
            ):
                sock.sendall(conn.send(event) or b"")
            if conn.our_state is not h11.DONE:
                return
            conn.start_next_cycle()


_NGINX = """
daemon off; master_process off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log info;
events {{ worker_connections 256; }}
http {{
    log_format witness escape=json '{{"method":"$request_method","target":"$request_uri","status":$status,"body":"$request_body"}}';
    access_log off;
    client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
    keepalive_timeout 60; client_body_buffer_size 64k; merge_slashes off;
    server {{
        listen 127.0.0.1:{port};
        access_log {root}/access.log witness;
        location / {{ proxy_pass http://127.0.0.1:{inner}; }}
    }}
    server {{ listen 127.0.0.1:{inner}; location / {{ return 200 $request_uri; }} }}
}}
"""


@contextlib.contextmanager
def nginx(root: str) -> Iterator[Witness]:
    """NGINX; `root` is a directory of its own. Its logs are the testimony."""
    port, inner = free_port(), free_port()
    Path(root, "nginx.conf").write_text(_NGINX.format(root=root, port=port, inner=inner))
    process = subprocess.Popen(
        ["nginx", "-p", root, "-e", f"{root}/error.log", "-c", f"{root}/nginx.conf"],
        env=os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin"},
    )
    marks = {"access.log": 0, "error.log": 0}

    def news(name: str) -> list[str]:
        with open(f"{root}/{name}", "rb") as file:
            file.seek(marks[name])
            data = file.read()
        marks[name] += len(data)
        return data.decode("latin-1").splitlines()

    def tell() -> Testimony:
        records = [json.loads(line) for line in news("access.log")]
        seen = [Seen(r["method"], r["target"], r["body"]) for r in records if r["status"] == 200]
        return Testimony(seen, [line for line in news("error.log") if "client sent" in line])

    def listening() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    try:
        wait_for("nginx listens", listening)
        news("error.log")
        yield Witness("nginx", port, tell)
    finally:
        process.terminate()
        process.wait(10)
