"""Servers that may be members of a service: each answers with its own name, and it is known when it was last asked."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import TYPE_CHECKING, Self

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BOUND_S = 40.0


class Asked(msgspec.Struct):
    """How often a member was asked, and when last (monotonic seconds)."""

    count: int = 0
    last: float = 0.0


class _Answering(asyncio.Protocol):
    """Answers every request without a body on kept connections."""

    def __init__(self, name: str, asked: Asked, open_now: set[asyncio.Transport]) -> None:
        body = name.encode()
        self._answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        self._asked = asked
        self._had = b""
        self._open_now = open_now
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open_now.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        assert self._transport is not None
        self._open_now.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        *whole, self._had = (self._had + data).split(b"\r\n\r\n")
        assert self._transport is not None
        for _ in whole:
            self._asked.count += 1
            self._asked.last = time.monotonic()
            self._transport.write(self._answer)


class Members:
    """So many servers on loopback, in one thread of their own; `ports` by name."""

    def __init__(self, names: Sequence[str]) -> None:
        self.ports: dict[str, int] = {}
        self.asked = {name: Asked() for name in names}
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="members")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(_BOUND_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_BOUND_S)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        open_now: set[asyncio.Transport] = set()
        async with contextlib.AsyncExitStack() as stack:
            for name, asked in self.asked.items():
                server = await self._loop.create_server(
                    lambda name=name, asked=asked: _Answering(name, asked, open_now),  # type: ignore[misc]
                    "127.0.0.1",
                    0,
                )
                await stack.enter_async_context(server)
                self.ports[name] = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._stop.wait()
            for transport in list(open_now):
                transport.abort()


@contextlib.contextmanager
def members(count: int) -> Iterator[Members]:
    """Servers named `one-00`, `one-01`, …"""
    with Members([f"one-{number:02d}" for number in range(count)]) as serving:
        yield serving
