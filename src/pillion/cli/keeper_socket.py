"""The back door: calls to the keeper itself over its control socket, for when the agent does not answer."""

from __future__ import annotations

import socket
import time
from typing import TypeVar

import msgspec

from pillion.errors import RefusedError, UnreachableError

T = TypeVar("T")

_MESSAGE_BYTES = 128 * 1024


class _Error(msgspec.Struct):
    status: int = 500
    title: str = "the keeper refused"
    detail: str = ""


class _Reply(msgspec.Struct):
    op: str = ""
    id: int = 0
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None


def call_keeper(
    path: str, method: str, params: object, result: type[T], *, timeout_s: float = 5.0
) -> T:
    """Call `method` on the keeper behind the socket at `path` and return its answer as a `result`.

    Raises `RefusedError` for its no; `UnreachableError` when there is no keeper, or none that answers
    within `timeout_s` seconds.
    """
    deadline = time.monotonic() + timeout_s
    request = msgspec.json.encode({"op": "call", "id": 1, "method": method, "params": params})
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(timeout_s)
        try:
            sock.connect(path)
            sock.send(request)
            raw = _answer(sock, deadline)
        except TimeoutError as error:
            raise UnreachableError(
                f"cannot reach the keeper at {path}: no answer within {timeout_s:g} s; is it stopped?"
            ) from error
        except OSError as error:
            raise UnreachableError(
                f"cannot reach the keeper at {path}: {error.strerror}; `pillion status` lists what runs"
            ) from error
    try:
        return msgspec.json.decode(raw, type=result)
    except msgspec.DecodeError as error:
        raise UnreachableError(
            f"cannot read the keeper's answer to {method}: {error}; is it of another version?"
        ) from error


def _answer(sock: socket.socket, deadline: float) -> msgspec.Raw:
    """The result of call 1; whatever else the keeper says meanwhile is passed over."""
    while (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        datagram = sock.recv(_MESSAGE_BYTES)
        if not datagram:
            raise ConnectionResetError(104, "it closed the connection")
        try:
            reply = msgspec.json.decode(datagram, type=_Reply)
        except msgspec.DecodeError:
            continue
        if reply.op == "reply" and reply.id == 1:
            if reply.error is not None:
                no = reply.error
                raise RefusedError(no.status, no.title, no.detail)
            return reply.result
    raise TimeoutError
