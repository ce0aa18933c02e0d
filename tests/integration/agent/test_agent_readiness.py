"""The agent asks an app that does not say by itself when it is ready, and tells the keeper once."""

from __future__ import annotations

import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from keeper_peer import KeeperPeer, component
from pillion.settings import parse, to_json

RUNNING = [component("app", ready=False, pid=os.getpid())]


def settings(keeper: KeeperPeer, ready: str, port: int = 1) -> None:
    text = f'[app]\nname = "shop"\nport = {port}\nready = {{ {ready}, interval = "50ms", timeout = "1s" }}\n'
    keeper.write("settings.json", to_json(parse(text)))


def test_by_http_on_the_apps_port(keeper: KeeperPeer) -> None:
    answers = [503, 500, 204]

    class App(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answers.pop(0) if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), App) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        settings(keeper, 'http = "/healthz"', server.server_port)
        keeper.components = RUNNING
        child = keeper.start()
        child.wait_for("call", lambda m: m["method"] == "app-ready")
        server.shutdown()
        thread.join()
    assert answers == []


def test_by_tcp(keeper: KeeperPeer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as app:
        settings(keeper, f'tcp = "127.0.0.1:{app.getsockname()[1]}"')
        keeper.components = RUNNING
        child = keeper.start()
        child.wait_for("call", lambda m: m["method"] == "app-ready")


def test_by_a_command_once_it_succeeds(keeper: KeeperPeer, tmp_path: Path) -> None:
    counted = tmp_path / "counted"
    script = f"echo x >> {counted}; test $(wc -l < {counted}) -ge 3"
    settings(keeper, f"exec = ['sh', '-c', '{script}']")
    keeper.components = RUNNING
    child = keeper.start()
    child.wait_for("call", lambda m: m["method"] == "app-ready")
    assert Path(counted).read_text() == "x\nx\nx\n"


@pytest.mark.parametrize("state", ["starting", "backoff", "stopped"])
def test_an_app_that_does_not_run_is_not_asked(keeper: KeeperPeer, state: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as app:
        settings(keeper, f'tcp = "127.0.0.1:{app.getsockname()[1]}"')
        keeper.components = [component("app", ready=False, state=state, pid=None)]
        child = keeper.start()
        with keeper.unix() as client, client.request("GET", "/v1/components") as answer:
            answer.read()
        assert child.calls("app-ready") == []


def test_a_step_that_is_not_told_is_asked_for(keeper: KeeperPeer) -> None:
    """The keeper says nothing of the app's restart: the agent finds out by itself."""
    with socket.create_server(("127.0.0.1", 0)) as app:
        settings(keeper, f'tcp = "127.0.0.1:{app.getsockname()[1]}"')
        keeper.components = [component("app", ready=False, state="backoff", pid=None)]
        child = keeper.start()
        child.wait_for("call", lambda m: m["method"] == "status")
        keeper.components = RUNNING
        child.wait_for("call", lambda m: m["method"] == "app-ready")


def test_a_new_process_of_the_app_is_asked_anew(keeper: KeeperPeer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as app:
        settings(keeper, f'tcp = "127.0.0.1:{app.getsockname()[1]}"')
        keeper.components = RUNNING
        child = keeper.start()
        child.wait_for("call", lambda m: m["method"] == "app-ready")
        for pid, ready in ((os.getpid(), True), (1, False)):
            keeper.components = [component("app", ready=ready, pid=pid)]
            child.send({"op": "state", "state": keeper.status})
        child.wait_for("call", lambda m: m["method"] == "app-ready" and m["id"] > 2)
