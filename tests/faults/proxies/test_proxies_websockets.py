"""Reloads while WebSockets are open: each keeps the worker that it began with, for so long and no longer, so that their number stays bounded."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Self

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

import proxies_running as running
from free_ports import free_port
from instance import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from instance import Host, Instance

_RELOADS = 10
_OLD = 5
_OLD_S = 1
_KEY = "edge/greeting"


def _settings(kind: str, port: int, upstream: int) -> str:
    return f"""
[app]
name = "front"
[[proxies]]
name = "{running.NAME}"
kind = "{kind}"
template = "edge.{kind}.j2"
wait = {{ min = "20ms", max = "100ms" }}
old_workers = {_OLD}
drain = "{_OLD_S}s"
values = {{ port = {port}, upstream = {upstream} }}
"""


_TEMPLATES = {
    "edge.nginx.j2": """\
worker_processes 1;
{{ bounds() }}
events { worker_connections 1024; }
http {
    access_log off;
    {% for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] %}
    {{ name }}_temp_path {{ (state_dir ~ "/" ~ name) | quote }};
    {% endfor %}
    {{ proof() }}
    server {
        listen 127.0.0.1:{{ values.port }};
        location = /greeting { return 200 {{ config("edge/greeting", "none") | quote }}; }
        location / {
            proxy_pass http://127.0.0.1:{{ values.upstream }};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }
    }
}
""",
    "edge.haproxy.j2": """\
global
    nbthread 1
    {{ admin() }}
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    timeout tunnel 1h
{{ proof() }}
frontend near
    bind 127.0.0.1:{{ values.port }}
    http-request return status 200 content-type text/plain string {{ config("edge/greeting", "none") | quote }} if { path /greeting }
    default_backend echo
backend echo
    server one 127.0.0.1:{{ values.upstream }}
""",
}


def _echo(connection: ServerConnection) -> None:
    # A worker that has had its time cuts it off.
    with contextlib.suppress(ConnectionClosed):
        for message in connection:
            connection.send(message)


@contextlib.contextmanager
def _echoing() -> Iterator[int]:
    with serve(_echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, name="echo")
        thread.start()
        try:
            yield server.socket.getsockname()[1]
        finally:
            server.shutdown()
            thread.join()


class Watch:
    """The most processes that the proxy has had at any time, looked at all the while."""

    def __init__(self, instance: Instance) -> None:
        self.most = 0
        self._master = int(instance.component(running.NAME)["pid"])
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            self.most = max(self.most, len(running.children(self._master)))


def _open(port: int, opened: contextlib.ExitStack) -> ClientConnection:
    connection = opened.enter_context(
        connect(f"ws://127.0.0.1:{port}/", open_timeout=20, close_timeout=0)
    )
    connection.send("here")
    assert connection.recv(20) == "here"
    return connection


def _reload(host: Host, instance: Instance, number: int, port: int) -> None:
    before = running.count(instance, "proxy-applied")
    host.pillion("config", "set", _KEY, f'"version {number}"', "--instance", instance.name)
    wait_for("it is applied", lambda: running.count(instance, "proxy-applied") > before, 30)
    # An old worker may take one more connection before it has heard that it is one.
    wait_for("it is served", lambda: running.ask(port, "/greeting")[1] == f"version {number}", 5)


@pytest.mark.parametrize("kind", running.KINDS)
def test_ten_reloads_with_ten_websockets_leave_few_workers(host: Host, kind: str) -> None:
    port = free_port()
    with _echoing() as upstream, contextlib.ExitStack() as opened:
        instance = running.start(host, _settings(kind, port, upstream), _TEMPLATES)
        fresh = len(running.workers(instance))
        with Watch(instance) as watch:
            for number in range(_RELOADS):
                _open(port, opened)
                _reload(host, instance, number, port)
            wait_for(
                "old workers have ended",
                lambda: len(running.workers(instance)) == fresh,
                _OLD_S + 20,
            )
        # Those that there may be, the newest, and the one that just takes over from it.
        assert watch.most <= fresh * (_OLD + 2)
        assert watch.most > fresh, "no WebSocket has kept a worker"
        assert running.count(instance, "proxy-applied") == _RELOADS + 1
        _open(port, opened)
