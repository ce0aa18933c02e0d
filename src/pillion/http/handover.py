"""Idle connections from one process to its successor, so that an upgrade closes none of them.

Over a Unix socket (SOCK_SEQPACKET or SOCK_STREAM), one JSON line per message:

    {"op": "connection", "listener": "tcp"}    with one descriptor (SCM_RIGHTS, unix(7))
    {"op": "end", "handed": 3}                 nothing more will come

On a stream socket lines may be split and merged; descriptors keep their order, and the n-th
"connection" owns the n-th of them.
"""

import array
import asyncio
import json
import os
import socket
from collections import deque
from collections.abc import Callable

import msgspec

_MESSAGE_BYTES = 4096
_DESCRIPTORS = 16
_INT_BYTES = array.array("i").itemsize


class HandoverError(OSError):
    """The other process is gone, or speaks something else."""


class Received(msgspec.Struct, frozen=True):
    """What a receiver got: connections adopted, and whether the sender said that it was all."""

    adopted: int
    complete: bool


class HandoverSender:
    """Sends connections; the descriptors stay open here, and the caller closes its own."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock

    async def send(self, listener: str, descriptor: int) -> None:
        """Pass one connection. Raise HandoverError when nobody takes it."""
        message = json.dumps({"op": "connection", "listener": listener}).encode() + b"\n"
        rights = array.array("i", [descriptor])
        await self._send(message, [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])

    async def end(self, handed: int) -> None:
        """Say that nothing more will come. Raise HandoverError."""
        await self._send(json.dumps({"op": "end", "handed": handed}).encode() + b"\n", [])

    async def _send(
        self, message: bytes, rights: list[tuple[int, int, "array.array[int]"]]
    ) -> None:
        while message:
            try:
                sent = self._sock.sendmsg([message], rights)
            except (BlockingIOError, InterruptedError):
                await _ready(self._sock, write=True)
                continue
            except OSError as error:
                raise HandoverError(f"cannot hand over a connection: {error}") from error
            message = message[sent:]
            rights = []  # they went with the first byte


class HandoverReceiver:
    """Receives connections, and gives each to `adopt` with the name of its listener."""

    def __init__(self, sock: socket.socket, adopt: Callable[[socket.socket, str], None]) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._adopt = adopt
        self._text = b""
        self._descriptors: deque[int] = deque()

    async def run(self) -> Received:
        """Adopt until the end marker or the end of the stream. Raise HandoverError for nonsense.

        The receiver may be cancelled at any time; descriptors not yet adopted are closed.
        """
        adopted = 0
        try:
            while True:
                try:
                    text, control, flags, _ = self._sock.recvmsg(
                        _MESSAGE_BYTES,
                        socket.CMSG_SPACE(_DESCRIPTORS * _INT_BYTES),
                        socket.MSG_CMSG_CLOEXEC,
                    )
                except (BlockingIOError, InterruptedError):
                    await _ready(self._sock, write=False)
                    continue
                except ConnectionError:
                    return Received(adopted, complete=False)
                for level, kind, raw in control:
                    if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                        whole = array.array("i")
                        whole.frombytes(raw[: len(raw) - len(raw) % _INT_BYTES])
                        self._descriptors.extend(whole)
                if flags & socket.MSG_CTRUNC:
                    raise HandoverError(
                        "cannot take over every connection: too few descriptors; raise RLIMIT_NOFILE"
                    )
                if not text:
                    return Received(adopted, complete=False)
                self._text += text
                while b"\n" in self._text:
                    line, _, self._text = self._text.partition(b"\n")
                    message = _read(line)
                    if message["op"] == "end":
                        return Received(adopted, complete=True)
                    if message["op"] == "connection" and self._descriptors:
                        sock = socket.socket(fileno=self._descriptors.popleft())
                        self._adopt(sock, str(message.get("listener", "")))
                        adopted += 1
                if len(self._text) > _MESSAGE_BYTES:
                    raise HandoverError("cannot take over connections: a message without end")
        finally:
            while self._descriptors:
                os.close(self._descriptors.popleft())


def _read(line: bytes) -> dict[str, object]:
    try:
        message: object = json.loads(line)
    except ValueError:
        message = None
    if not isinstance(message, dict) or "op" not in message:
        raise HandoverError("cannot take over connections: not a hand-over message")
    return message


async def _ready(sock: socket.socket, *, write: bool) -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def wake() -> None:
        if not done.done():
            done.set_result(None)

    # uvloop wants the descriptor, since it keeps sockets it is given.
    descriptor = sock.fileno()
    if write:
        loop.add_writer(descriptor, wake)
    else:
        loop.add_reader(descriptor, wake)
    try:
        await done
    finally:
        if write:
            loop.remove_writer(descriptor)
        else:
            loop.remove_reader(descriptor)
