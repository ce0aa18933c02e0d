"""Questions to an instance's API over its Unix socket, with nothing of Pillion's own client in the way."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the path instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(
    path: str,
    what: str,
    *,
    method: str = "GET",
    body: object = None,
    timeout_s: float = 30.0,
) -> dict[str, Any]:
    """The JSON object that answers one request on a new connection. Raises OSError, also when the answer is no success."""
    text = ask_text(path, what, method=method, body=body, timeout_s=timeout_s)
    found: dict[str, Any] = json.loads(text)
    return found


def ask_text(
    path: str,
    what: str,
    *,
    method: str = "GET",
    body: object = None,
    timeout_s: float = 30.0,
) -> str:
    """The same for an answer of any kind."""
    connection = _Connection(path, timeout_s)
    try:
        if body is None:
            connection.request(method, what)
        else:
            fields = {"Content-Type": "application/json"}
            connection.request(method, what, json.dumps(body), fields)
        answer = connection.getresponse()
        text = answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"no answer to {method} {what}: {error!r}") from error
    finally:
        connection.close()
    if not 200 <= answer.status < 300:
        raise OSError(f"{method} {what}: {answer.status} {text[:300]!r}")
    return text.decode()


def request_bytes(
    path: str,
    host: str,
    token: str | None = None,
    *,
    method: str = "GET",
    body: bytes | None = None,
) -> bytes:
    """A request with as many fields as a client usually sends: eight and, on TCP, the token; JSON when there is a body."""
    fields = {
        "Host": host,
        "User-Agent": "bench/1.0 (load; one thread)",
        "Accept": "application/json, text/plain;q=0.9, */*;q=0.5",
        "Accept-Encoding": "identity",
        "Accept-Language": "en-GB,en;q=0.8",
        "Cache-Control": "no-cache",
        "Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "X-Request-Id": "6f1a2a9e-3f0b-4a57-9a55-0f5c7c1d2e3f",
    }
    if token is not None:
        fields["Authorization"] = f"Bearer {token}"
    if body is not None:
        fields["Content-Type"] = "application/json"
        fields["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body or b"")
