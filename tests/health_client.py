"""Asks a real instance for its health, as its own user, as its app, and as a load balancer would."""

from __future__ import annotations

import http.client
import json
import os
import socket
from typing import TYPE_CHECKING, Any

from instance import wait_for

if TYPE_CHECKING:
    from instance import Instance

SLEEPER = ("sh", "-c", "while :; do sleep 1; done")


class _OverUnix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self._path)


def ask(instance: Instance, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Status and body of an answer on the Unix socket: as the operator."""
    return _ask(_OverUnix(f"{instance.runtime}/api.sock"), method, path, body, {})


def ask_as_app(instance: Instance, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """The same over TCP with the app's token."""
    with open(f"{instance.runtime}/instance.json") as file:
        url = json.load(file)["url"]
    with open(f"{instance.runtime}/token") as file:
        fields = {"Authorization": f"Bearer {file.read().strip()}"}
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    return _ask(connection, method, path, body, fields)


def ask_port(port: int, path: str) -> tuple[int, Any]:
    """The same from a port that wants no token."""
    return _ask(http.client.HTTPConnection("127.0.0.1", port, timeout=20), "GET", path, None, {})


def _ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: object,
    fields: dict[str, str],
) -> tuple[int, Any]:
    data = None
    if body is not None:
        data = json.dumps(body)
        fields = {**fields, "Content-Type": "application/json"}
    try:
        connection.request(method, path, data, fields)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None
    finally:
        connection.close()


def wait_health(instance: Instance, status: str, bound_s: float = 40.0) -> dict[str, Any]:
    """Wait until the health is `status`, and return the report."""

    def look() -> dict[str, Any]:
        try:
            report: dict[str, Any] = ask(instance, "GET", "/v1/health")[1]
        except OSError:
            return {}
        return report if report["status"] == status else {}

    return wait_for(f"health is {status}", look, bound_s)


def check_of(report: dict[str, Any], name: str) -> dict[str, Any]:
    """One check of a report."""
    return next(one for one in report["checks"] if one["name"] == name)


def touch(path: str) -> None:
    """Make a file."""
    with open(path, "w"):
        pass


def unlink(path: str) -> None:
    """Remove a file."""
    os.unlink(path)
