"""The offload of a real instance: files, the app behind them, and who is told what while the app is not ready."""

from __future__ import annotations

import http.client
import os
import socket
import sys
from typing import TYPE_CHECKING

from instance import wait_for

if TYPE_CHECKING:
    from instance import Host

APP = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/healthz":
            status, body = (200 if os.path.exists(sys.argv[2]) else 503), b"health"
        else:
            status, body = 200, repr(sorted((k.lower(), v) for k, v in self.headers.items())).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
TEXT = b"a { color: red }\n" * 400


def ask(address: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    host, _, port = address.rpartition(":")
    client = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        client.request(
            "GET", path, headers={name.replace("_", "-"): one for name, one in headers.items()}
        )
        got = client.getresponse()
        return got.status, {name.lower(): value for name, value in got.getheaders()}, got.read()
    except (OSError, http.client.HTTPException):
        return 0, {}, b""
    finally:
        client.close()


def started(host: Host, more: str = "", rest: str = "") -> tuple[str, str]:
    """The offload's address, and the file whose presence makes the app healthy."""
    os.chmod(host.root, 0o755)
    public = os.path.join(host.root, "public")
    os.makedirs(public)
    for name, data in (("index.html", b"entry"), ("style.css", TEXT)):
        with open(os.path.join(public, name), "wb") as file:
            file.write(data)
    well = os.path.join(host.root, "well")
    port = free_port()
    instance = host.run(
        sys.executable,
        "-c",
        APP,
        str(port),
        well,
        settings=f'''
[app]
port = {port}
ready = {{ http = "/healthz" }}
[offload]
root = "{public}"
{more}
{rest}
''',
    )
    instance.wait_state("offload", "running")
    offload = wait_for(
        "the offload is bound",
        lambda: instance.call("status")["result"]["listeners"].get("offload"),
    )
    wait_for("it serves", lambda: ask(offload, "/")[0] == 200, state=lambda: ask(offload, "/"))
    return offload, well


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as made:
        return int(made.getsockname()[1])


def test_files_are_served_before_the_app_is_ready(host: Host) -> None:
    offload, well = started(host, "precompress = true")
    assert ask(offload, "/")[2] == b"entry"
    status, headers, _ = ask(offload, "/api")
    assert (status, headers["retry-after"], headers["content-type"]) == (
        503,
        "5",
        "application/problem+json",
    )
    with open(well, "w"):
        pass
    wait_for("the app is asked", lambda: ask(offload, "/api")[0] == 200)
    assert ask(offload, "/style.css")[2] == TEXT
    wait_for(
        "it is compressed beforehand",
        lambda: ask(offload, "/style.css", Accept_Encoding="br")[1].get("content-encoding") == "br",
    )


def test_through_inbound(host: Host) -> None:
    rest = '[inbound]\nlisten = "127.0.0.1:0"\n[ambassador.http]\ntrusted_hops = 1\n'
    offload, well = started(host, rest=rest)
    with open(well, "w"):
        pass
    wait_for(
        "the app is asked",
        lambda: ask(offload, "/api")[0] == 200,
        state=lambda: ask(offload, "/api"),
    )
    _, _, seen = ask(offload, "/api", X_Forwarded_For="6.6.6.6", Host="shop.example:8443")
    # nginx's word about the client, then nginx itself.
    assert b"('x-forwarded-for', '127.0.0.1, 127.0.0.1')" in seen
    assert b"('host', 'shop.example:8443')" in seen
    assert b"6.6.6.6" not in seen
