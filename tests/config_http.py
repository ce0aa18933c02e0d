"""A client of the API for these tests: standard library alone, as an app without any library would have it."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from config_client import Client
from instance import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from instance import Instance


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any

    @property
    def etag(self) -> str:
        return self.headers["etag"]

    @property
    def revision(self) -> int:
        return int(self.headers["pillion-revision"])


def ask(
    instance: Instance,
    method: str,
    path: str,
    body: object = None,
    *,
    timeout: float = 15.0,
    if_match: str = "",
    if_none_match: str = "",
) -> Answer:
    """One request to the instance's socket."""
    wanted = {"if-match": if_match, "if-none-match": if_none_match}
    headers = {name: value for name, value in wanted.items() if value}
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        headers["content-type"] = "application/json"
    connection = _Unix(f"{instance.runtime}/api.sock", timeout)
    try:
        connection.request(method, path, data, headers)
        response = connection.getresponse()
        text = response.read()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, json.loads(text) if text else None)
    finally:
        connection.close()


def put(
    instance: Instance,
    key: str,
    value: object,
    query: str = "",
    *,
    if_match: str = "",
    if_none_match: str = "",
) -> Answer:
    path = f"/v1/config/{key}{query}"
    body = {"value": value}
    return ask(instance, "PUT", path, body, if_match=if_match, if_none_match=if_none_match)


def get(instance: Instance, key: str, query: str = "", *, if_none_match: str = "") -> Answer:
    return ask(instance, "GET", f"/v1/config/{key}{query}", if_none_match=if_none_match)


def metric(instance: Instance, name: str) -> float:
    """A number of the agent's as it is now."""
    connection = _Unix(f"{instance.runtime}/api.sock", 15.0)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    start = f'pillion_{name}{{component="agent"}} '
    return float(next(line for line in text.splitlines() if line.startswith(start)).split()[1])


class Stream:
    """Server-sent events, read by a thread into a `Client`; it connects again with its last id when it is cut."""

    def __init__(self, instance: Instance, path: str) -> None:
        self.client = Client()
        self.events: list[tuple[str, Any]] = []
        self.connects = 0
        self._instance = instance
        self._path = path
        self._closed = threading.Event()
        self._connection: _Unix | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, what: str, look: Callable[[Client], object]) -> None:
        wait_for(what, lambda: bool(look(self.client)))

    def cut(self) -> None:
        """End the connection as a network would."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closed.set()
        self.cut()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._read()
            except (OSError, http.client.HTTPException, ValueError):
                self._closed.wait(0.05)

    def _read(self) -> None:
        self._connection = _Unix(f"{self._instance.runtime}/api.sock", 30.0)
        headers = {"accept": "text/event-stream"}
        if self.client.last is not None:
            headers["last-event-id"] = str(self.client.last)
        try:
            self._connection.request("GET", self._path, headers=headers)
            response = self._connection.getresponse()
            if response.status != 200:
                raise OSError(response.status)
            self.client.reconnect()
            self.connects += 1
            fields: dict[str, str] = {}
            while line := response.readline():
                text = line.decode().rstrip("\n")
                if text:
                    name, _, value = text.partition(":")
                    fields[name] = value.strip()
                    continue
                if "event" in fields:
                    data = json.loads(fields["data"])
                    revision = int(fields["id"]) if "id" in fields else None
                    self.events.append((fields["event"], data))
                    self.client.take(fields["event"], data, revision)
                fields = {}
        finally:
            self._connection.close()
