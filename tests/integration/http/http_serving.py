"""A real server on real sockets, and a raw client that shows every byte."""

import asyncio
import contextlib
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import uvloop

from pillion.http.codec import CodecError, End, Headers, Limits, ResponseHead, ResponseParser
from pillion.http.server import Handler, Server, ServerLimits

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
BOUND_S = 40.0


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test on uvloop, with a bound."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main, BOUND_S))


def listening() -> socket.socket:
    """Return a TCP socket on loopback that listens."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(512)
    return sock


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition; the test's own bound ends a wait in vain."""
    while not condition():  # noqa: ASYNC110 - counters have no event to wait for
        await asyncio.sleep(0.005)


class Site:
    """A server with its two sockets."""

    def __init__(self, server: Server, path: str, port: int, errors: list[BaseException]) -> None:
        self.server = server
        self.path = path
        self.port = port
        self.errors = errors

    async def unix(self) -> "Raw":
        return Raw(*await asyncio.open_unix_connection(self.path))

    async def tcp(self) -> "Raw":
        return Raw(*await asyncio.open_connection("127.0.0.1", self.port))


class Answer:
    """One whole answer."""

    def __init__(self, head: ResponseHead, body: bytes, trailers: Headers) -> None:
        self.status = head.status
        self.headers = head.headers
        self.keep_alive = head.keep_alive
        self.body = body
        self.trailers = trailers


class Raw:
    """A connection that sends what it is told to, and reads answers strictly."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.parser = ResponseParser(Limits())

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self, method: str = "GET") -> ResponseHead:
        """Read one head, interim ones included."""
        self.parser.expect(method)
        event = await self._event()
        assert isinstance(event, ResponseHead), event
        return event

    async def piece(self) -> bytes:
        event = await self._event()
        assert isinstance(event, bytes), event
        return event

    async def answer(self, method: str = "GET") -> Answer:
        head = await self.head(method)
        while head.informational:
            head = await self.head(method)
        body = b""
        while not isinstance(event := await self._event(), End):
            assert isinstance(event, bytes), event
            body += event
        self.parser.next_message()
        return Answer(head, body, event.trailers)

    async def get(self, data: bytes = GET) -> Answer:
        self.send(data)
        return await self.answer()

    async def closed(self) -> bool:
        """Read to the end of the stream, and say whether it was a clean one with nothing left."""
        try:
            return await self.reader.read() == b"" and self.parser.between_messages
        except ConnectionError:
            return False

    async def _event(self) -> object:
        while True:
            event = self.parser.next_event()
            if isinstance(event, (bytes, ResponseHead, End)):
                return event
            data = await self.reader.read(65536)
            if data:
                self.parser.receive(data)
            else:
                self.parser.receive_eof()
                if self.parser.between_messages:
                    raise CodecError(502, "closed without an answer")

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(handler: Handler, limits: ServerLimits | None = None) -> AsyncIterator[Site]:
    errors: list[BaseException] = []
    server = Server(handler, limits, on_error=lambda error, _request: errors.append(error))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s")
        with socket.socket(socket.AF_UNIX) as unix, listening() as tcp:
            unix.bind(path)
            unix.listen(512)
            server.serve(unix)
            server.serve(tcp)
            try:
                yield Site(server, path, tcp.getsockname()[1], errors)
            finally:
                await server.close()
