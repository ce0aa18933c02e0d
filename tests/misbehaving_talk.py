"""One connection of the server that misbehaves, told in the words of its faults: execute, send, hold, reset."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

_BOUND_S = 60.0
_LINE = 65536


class Left(Exception):
    """The peer has gone, or the server ends."""


class Counts(Protocol):
    """What a connection tells its server, and `closing`, which ends all waiting."""

    closing: threading.Event

    def executed(self, request_id: str) -> None:
        """The work of a request was done."""

    def arrived(self, name: str) -> None:
        """The head of a request has come."""

    def sent(self, name: str, count: int) -> None:
        """So much of an answer was taken by the kernels."""


class Talk:
    """One connection with the request that is under way."""

    def __init__(self, server: Counts, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.number = 0  # of the request on this connection, from 1
        self.name = ""
        self.method = ""
        self.target = ""
        self.fields: dict[str, str] = {}
        self._data = b""

    @property
    def request_id(self) -> str:
        """What the client called the request."""
        return self.fields.get("x-request-id", "")

    def next_request(self) -> bool:
        """Read a head; whether there was one. The first segment of the path becomes the name."""
        line = self._line()
        if not line:
            return False
        self.method, self.target, _ = line.split(" ", 2)
        self.name = self.target.partition("?")[0].strip("/").partition("/")[0]
        self.fields = {}
        while line := self._line():
            name, _, value = line.partition(":")
            self.fields[name.lower()] = value.strip()
        self.number += 1
        self.server.arrived(self.name)
        return True

    def body(self) -> bytes:
        """Read the body of the request to its end."""
        if self.fields.get("expect", "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" not in self.fields.get("transfer-encoding", ""):
            return self._exactly(int(self.fields.get("content-length", "0")))
        parts = []
        while size := int(self._line().partition(";")[0], 16):
            parts.append(self._exactly(size))
            self._line()
        while self._line():
            pass
        return b"".join(parts)

    def pieces(self, size: int, pause_s: float) -> Iterator[bytes]:
        """Yield a body of told length in pieces, with a pause after each."""
        left = int(self.fields["content-length"])
        while left:
            piece = self._exactly(min(size, left))
            left -= len(piece)
            yield piece
            self.pause(pause_s)

    def execute(self) -> bytes:
        """Read the whole request and do its work. Returns the body."""
        body = self.body()
        self.server.executed(self.request_id)
        return body

    def send(self, data: bytes) -> None:
        """Send all of it. Raises Left when the peer has gone."""
        while data:
            try:
                count = self.sock.send(data)
            except OSError as error:
                raise Left from error
            self.server.sent(self.name, count)
            data = data[count:]

    def answer(self, body: bytes = b"ok", status: str = "200 OK", *fields: str) -> None:
        """Send a whole, well-behaved answer."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]
        self.send("\r\n".join(lines).encode() + body)

    def pause(self, seconds: float) -> None:
        """Let time pass. Raises Left when the server ends."""
        if self.server.closing.wait(seconds):
            raise Left

    def hold(self) -> None:
        """Say nothing more until the peer leaves; what it still sends is read and forgotten."""
        with contextlib.suppress(OSError):
            while self.sock.recv(_LINE):
                pass
        raise Left

    def hold_unread(self) -> None:
        """Say nothing, and read nothing either."""
        self.server.closing.wait(_BOUND_S)
        raise Left

    def reset(self) -> None:
        """End with RST, once what was sent has had time to be read."""
        self.pause(0.05)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Left

    def close(self) -> None:
        """End in order."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        self.hold()

    def wait_for_bytes(self) -> bool:
        """Whether more has come from the peer, of which nothing is taken."""
        return bool(self._data) or bool(self.sock.recv(1, socket.MSG_PEEK))

    def _line(self) -> str:
        while b"\r\n" not in self._data:
            self._more()
        line, _, self._data = self._data.partition(b"\r\n")
        return line.decode("latin-1")

    def _exactly(self, size: int) -> bytes:
        parts, left = [], size
        while left:
            if not self._data:
                self._more()
            part, self._data = self._data[:left], self._data[left:]
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _more(self) -> None:
        try:
            data = self.sock.recv(1 << 18)
        except OSError as error:
            raise Left from error
        if not data:
            raise Left
        self._data += data


class Fault(msgspec.Struct, frozen=True):
    """One way to fail; `executes` says whether the work was done before it."""

    name: str
    act: Callable[[Talk], None]
    executes: bool


FAULTS: dict[str, Fault] = {}


def fault(*, executes: bool) -> Callable[[Callable[[Talk], None]], Callable[[Talk], None]]:
    """Register a function under its name, with hyphens."""

    def register(act: Callable[[Talk], None]) -> Callable[[Talk], None]:
        name = act.__name__.strip("_").replace("_", "-")
        FAULTS[name] = Fault(name, act, executes)
        return act

    return register
