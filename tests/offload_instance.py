"""The offload of a real instance: a directory of files, an app that is well when a file is there, and an nginx between."""

from __future__ import annotations

import http.client
import os
import sys
from typing import TYPE_CHECKING

from free_ports import free_port
from instance import wait_for

if TYPE_CHECKING:
    from instance import Host, Instance

APP = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
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
    """Status, headers (names in lower case) and body; 0 without an answer."""
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


def begun(host: Host, more: str = "", rest: str = "") -> Instance:
    """An instance with these settings of `[offload]` and after them; the file `well` in `host.root` makes its app healthy."""
    public = os.path.join(host.root, "public")
    os.makedirs(public)
    for name, data in (("index.html", b"entry"), ("style.css", TEXT)):
        with open(os.path.join(public, name), "wb") as file:
            file.write(data)
    well = os.path.join(host.root, "well")
    port = free_port()
    return host.run(
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


def address_of(instance: Instance) -> str:
    """Where the offload listens, once it serves."""
    instance.wait_state("offload", "running")
    offload = wait_for(
        "the offload is bound",
        lambda: instance.call("status")["result"]["listeners"].get("offload"),
    )
    wait_for("it serves", lambda: ask(offload, "/")[0] == 200, state=lambda: ask(offload, "/"))
    return str(offload)


def started(host: Host, more: str = "", rest: str = "") -> tuple[str, str]:
    """The offload's address, and the file whose presence makes the app healthy."""
    os.chmod(host.root, 0o755)
    return address_of(begun(host, more, rest)), os.path.join(host.root, "well")
