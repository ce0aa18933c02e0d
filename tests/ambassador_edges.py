"""For tests of the ambassador's edges: listeners and tunnels in this process, blocking clients in threads' stead."""

from __future__ import annotations

import asyncio
import socket
import warnings
from typing import TYPE_CHECKING, Any, Self

import uvloop

from pillion.ambassador.listener import EdgeCounters, Listener
from pillion.base.tasks import RootTasks, TaskEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from pillion.ambassador.peer import Peer

BOUND_S = 40.0


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine on uvloop, within a bound."""

    async def bounded() -> None:
        try:
            async with asyncio.timeout(60.0):
                await work
        except BaseException:
            # What a failure leaves open must not fail the loop's end too: a transport that cannot warn is never closed.
            warnings.simplefilter("ignore", ResourceWarning)
            raise

    uvloop.run(bounded())


async def until(condition: Callable[[], object], what: str, within_s: float = BOUND_S) -> None:
    """Wait for a condition of this process, with a bound."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not condition():
        assert loop.time() < deadline, f"waited in vain for: {what}"
        await asyncio.sleep(0.005)


def listening(host: str = "127.0.0.1") -> socket.socket:
    """A bound and listening socket, as the keeper makes them."""
    return socket.create_server((host, 0), backlog=4096)


class Edge:
    """One listener with all that it wants; `with` ends it."""

    def __init__(self, factory: Callable[[Peer], asyncio.Protocol], **options: Any) -> None:
        self.unexpected: list[TaskEnd] = []
        self.sock = options.pop("sock", None) or listening()
        self.address: tuple[str, int] = self.sock.getsockname()[:2]
        self.counters = EdgeCounters()
        self.tasks = RootTasks(self.unexpected.append)
        self.listener = Listener(
            "test",
            self.sock,
            factory=factory,
            counters=self.counters,
            tasks=self.tasks,
            **options,
        )
        self.listener.resume()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.listener.close()
        await self.tasks.close(5.0)
        self.sock.close()
        assert not self.unexpected, [str(end) for end in self.unexpected]


class Catcher(asyncio.Protocol):
    """A protocol that remembers what it was told."""

    def __init__(self, peer: Peer | None = None) -> None:
        self.peer = peer
        self.data = bytearray()
        self.eof = False
        self.lost = False
        self.error: Exception | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or True
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        self.eof = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.error = exc
        if self.peer is not None:
            self.peer.left()
