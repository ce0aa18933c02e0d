"""Real nginx and haproxy as components of a real instance: their configuration in its place, and what they serve.

The agent is told of no proxy: the keeper alone has them, by a plan that an operator hands it, and the configuration is put there by hand.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
from typing import TYPE_CHECKING, Any

from free_ports import free_port
from instance import BOUND_S, Host, Instance, wait_for
from pillion.lifecycle.plan import keeper_plan, named
from pillion.settings import parse

if TYPE_CHECKING:
    from pillion.keeper.plan import Plan

SLEEPER = ("sh", "-c", "while :; do sleep 0.2; done")
KINDS = ("nginx", "haproxy")
MAIN = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}


def configuration(kind: str, port: int, answer: str, backend: int = 0) -> str:
    """One that answers `answer`, and passes /slow on to a backend."""
    if kind == "nginx":
        return f"""worker_processes 2;
events {{ }}
http {{
  access_log off;
  server {{
    listen 127.0.0.1:{port};
    location / {{ return 200 "{answer}"; }}
    location /slow {{ proxy_pass http://127.0.0.1:{backend or 9}; }}
  }}
}}
"""
    return f"""defaults
  mode http
  timeout connect 5s
  timeout client 20s
  timeout server 20s
frontend f
  bind 127.0.0.1:{port}
  http-request return status 200 content-type text/plain string "{answer}" unless {{ path_beg /slow }}
  use_backend slow if {{ path_beg /slow }}
backend slow
  server s 127.0.0.1:{backend or 9}
"""


def place(instance: Instance, name: str, kind: str, text: str) -> None:
    """Put a configuration where the proxy `name` is served from."""
    conf = os.path.join(instance.host.state, instance.name, "proxies", name, "conf")
    os.makedirs(conf, exist_ok=True)
    with open(os.path.join(conf, MAIN[kind]), "w") as file:
        file.write(text)


def proxy(name: str, kind: str, more: str = "") -> str:
    """Its settings."""
    return f'[[proxies]]\nname = "{name}"\nkind = "{kind}"\ntemplate = "/nowhere.j2"\n{more}\n'


def plan_of(settings: str) -> Plan:
    """The plan that a reload with these settings hands to the keeper."""
    text = f'app.command = ["sleep"]\napp.port = 1\n{settings}'
    return keeper_plan(named(parse(text)))


def renew(instance: Instance, settings: str) -> dict[str, Any]:
    """Hand the keeper the plan of these settings; the answer."""
    return instance.call("reload", plan=plan_of(settings))


def begin(host: Host, settings: str, keeper_death: str = "stop", **options: Any) -> Instance:
    """An instance that runs, with these proxies waiting."""
    instance = host.run(*SLEEPER, **options)
    instance.wait_state("app")
    settings = f'app.on_keeper_death = "{keeper_death}"\n{settings}'
    assert "result" in renew(instance, settings)
    return instance


def serving(
    host: Host, kind: str, more: str = "", backend: int = 0, **options: Any
) -> tuple[Instance, int]:
    """An instance with a proxy `edge` that serves "one", and its port."""
    instance, port = begin(host, proxy("edge", kind, more), **options), free_port()
    place(instance, "edge", kind, configuration(kind, port, "one", backend))
    instance.call("start", name="edge")
    wait_for("it serves", lambda: ask(port) == "one", state=lambda: instance.spooled("sidecar"))
    settle(instance, kind)
    return instance, port


def settle(instance: Instance, kind: str) -> None:
    """Wait until `edge` can be told something.

    HAProxy's master executes itself anew once its worker serves; what it is told before that is lost, or ends it.
    """
    if kind == "haproxy":
        wait_for(
            "the master answers", lambda: _asked_master(f"{instance.runtime}/proxy-edge.master")
        )


def _asked_master(path: str) -> bytes:
    with (
        contextlib.suppress(ConnectionError, FileNotFoundError),
        socket.socket(socket.AF_UNIX) as sock,
    ):
        sock.settimeout(BOUND_S)
        sock.connect(path)
        sock.sendall(b"show proc\n")
        return sock.recv(4096)
    return b""


def ask(port: int, path: str = "/", bound_s: float = BOUND_S) -> str:
    """The body of an answer, empty when there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=bound_s)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


def listens(port: int) -> bool:
    """Whether a connection to this port is taken."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), BOUND_S):
        return True
    return False


def session(pid: int) -> list[int]:
    """The processes of a proxy, by the session that its master began."""
    from pillion.keeper.posix import session_of

    return session_of(pid)


class SlowBackend:
    """Accepts requests, and answers them when it is told to."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(BOUND_S)
        self._client: socket.socket | None = None
        self.port: int = self._listening.getsockname()[1]

    def taken(self) -> None:
        """Wait until a request has arrived."""
        self._client, _ = self._listening.accept()
        self._client.settimeout(BOUND_S)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._client.recv(4096)

    def answer(self) -> None:
        """Answer it."""
        assert self._client is not None
        self._client.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nslow"
        )
        self._client.close()

    def close(self) -> None:
        """Be there no more."""
        self._listening.close()
        if self._client is not None:
            self._client.close()
