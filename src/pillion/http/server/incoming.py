"""The body of one request, on its way from the parser to the handler: a bounded queue.

Nothing is asked for before the handler asks (100-continue), and what the handler leaves unread is
never waited for.
"""

from collections import deque
from typing import TYPE_CHECKING

from pillion.http.codec import CodecError, End

from .messages import Refusal

if TYPE_CHECKING:
    import asyncio

    from .connection import Connection
    from .messages import Request

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class IncomingBody:
    """A body still to be read; requests without one have none of these."""

    __slots__ = (
        "_answered",
        "_chunks",
        "_connection",
        "_error",
        "_held",
        "_request",
        "_since",
        "_waiter",
        "continue_due",
    )

    def __init__(self, connection: "Connection", request: "Request", continue_due: bool) -> None:
        self.continue_due = continue_due
        """Whether the client waits to be told to send it (RFC 9110 section 10.1.1)."""
        self._connection = connection
        self._request = request
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._since = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: Refusal | None = None
        self._answered = False

    async def more(self) -> bytes:
        """Return the next piece, b"" at the end. Raise Refusal (400, 408, 413)."""
        while True:
            if self._answered:
                raise Refusal(400, "cannot read the body: the request has been answered")
            if self._chunks:
                chunk = self._chunks.popleft()
                self._held -= len(chunk)
                return chunk
            if self._error is not None:
                raise self._error
            if self._request.complete:
                return b""
            self.pull()
            if self._chunks or self._error is not None or self._request.complete:
                continue
            if self.continue_due:
                self.continue_due = False
                self._connection.write(_CONTINUE)
            self._connection.resume_reading()
            self._since = self._connection.server.tick
            self._waiter = self._connection.server.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def pull(self) -> None:
        """Take what the parser has, as far as the bound allows; above it, reading pauses."""
        connection = self._connection
        parser = connection.parser
        bound = connection.server.buffer_bytes
        try:
            while self._held < bound and self._error is None and not self._request.complete:
                event = parser.next_event()
                if isinstance(event, bytes):
                    self.continue_due = False
                    self._chunks.append(event)
                    self._held += len(event)
                elif isinstance(event, End):
                    self._request.trailers = event.trailers
                    self._request.complete = True
                else:
                    break
        except CodecError as error:
            connection.server.counters.rejected += 1
            self._error = Refusal(error.status, error.reason)
        if self._held >= bound or parser.buffered > bound:
            connection.pause_reading()
        self._wake()

    def discard(self) -> None:
        """Throw away what has arrived, and see whether that was all."""
        self._chunks.clear()
        self._held = 0
        self.pull()
        self._chunks.clear()
        self._held = 0

    def expire(self, tick: int) -> bool:
        """End a wait for bytes that has lasted too long; return whether it was one."""
        if self._waiter is None or tick - self._since <= self._connection.server.ticks.body:
            return False
        self._error = Refusal(408, "cannot wait longer for the body")
        self._wake()
        return True

    def answered(self) -> None:
        """Let go: whoever reads now reads too late."""
        self._answered = True
        self._chunks.clear()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
