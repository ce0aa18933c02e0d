"""A client whose framing is h11's, so that what Pillion writes is read by somebody else; it tells whole answers from cut ones."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Self

import h11
import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Fields = Sequence[tuple[str, str]]

_PIECE = 1 << 16


class Answer(msgspec.Struct):
    """What came back; `status` is 0 when nothing did, and `whole` false when it ended before its end."""

    status: int = 0
    fields: list[tuple[str, str]] = []
    body: bytes = b""
    whole: bool = False
    interim: list[int] = []
    trailers: list[tuple[str, str]] = []

    def field(self, name: str) -> str:
        """The values of a field, joined, in the order of their coming; nothing when there is none."""
        return ", ".join(value for had, value in self.fields if had == name.lower())


class Client:
    """One connection, on which requests follow each other."""

    def __init__(self, port: int, *, address: str = "127.0.0.1", bound_s: float = 40.0) -> None:
        self.sock = socket.create_connection((address, port), timeout=bound_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def ask(
        self,
        path: str,
        method: str = "GET",
        fields: Fields = (),
        body: bytes = b"",
        host: str = "a",
    ) -> Answer:
        """Send a request and read its answer."""
        self.begin(path, method, fields, body, host)
        return self.answer()

    def begin(
        self,
        path: str,
        method: str = "GET",
        fields: Fields = (),
        body: bytes = b"",
        host: str = "a",
    ) -> None:
        """Send a request; `answer` reads what comes. A peer that no longer reads is no error here."""
        if self._connection.our_state is h11.DONE:
            self._connection.start_next_cycle()
        lines = [("host", host), *fields]
        framed = any(name.lower() in ("content-length", "transfer-encoding") for name, _ in lines)
        if (body or method == "POST") and not framed:
            lines.append(("content-length", str(len(body))))
        said = self._connection.send(h11.Request(method=method, target=path, headers=lines)) or b""
        said += (body and self._connection.send(h11.Data(body))) or b""
        said += self._connection.send(h11.EndOfMessage()) or b""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.sock.sendall(said)

    def answer(self) -> Answer:
        """Read one answer to its end, or to the connection's."""
        got = Answer()
        parts: list[bytes] = []
        with contextlib.suppress(h11.RemoteProtocolError, ConnectionError):
            self._read(got, parts)
        got.body = b"".join(parts)
        return got

    @property
    def reusable(self) -> bool:
        """Whether the next request may go on this connection."""
        return self._connection.our_state is h11.DONE and self._connection.their_state is h11.DONE

    def _read(self, got: Answer, parts: list[bytes]) -> None:
        while True:
            event = self._connection.next_event()
            if event is h11.NEED_DATA:
                self._connection.receive_data(self.sock.recv(_PIECE))
            elif isinstance(event, h11.InformationalResponse):
                got.interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                got.status = event.status_code
                got.fields = _text(event.headers)
            elif isinstance(event, h11.Data):
                parts.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                got.trailers = _text(event.headers)
                got.whole = True
                return
            else:  # closed, or paused for ever
                return


def ask(
    port: int, path: str, method: str = "GET", fields: Fields = (), body: bytes = b""
) -> Answer:
    """One request on a connection of its own."""
    with Client(port) as client:
        return client.ask(path, method, fields, body)


def _text(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
