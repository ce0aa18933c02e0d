"""One client connection: bytes to events, with backpressure, and nothing decided."""

import asyncio
import select
from typing import cast

from pillion.http.codec import NEED_DATA, End, Limits, ResponseHead, ResponseParser

_READ_AHEAD_BYTES = 256 * 1024


class Lost(Exception):
    """The connection ended. `untouched`: before any byte of the answer under way."""

    def __init__(self, reason: str, *, untouched: bool) -> None:
        super().__init__(reason)
        self.untouched = untouched


class Wire(asyncio.Protocol):
    """A connection to an origin; used for one exchange at a time."""

    def __init__(self, limits: Limits) -> None:
        self.parser = ResponseParser(limits)
        self.idle_since = 0.0
        self.used = 0
        """Exchanges begun on it."""
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._drain: asyncio.Future[None] | None = None
        self._write_paused = False
        self._reading = True
        self._ended = False
        self._lost: str | None = None
        self._closed = asyncio.get_running_loop().create_future()

    @property
    def usable(self) -> bool:
        """Whether another exchange may begin: open, and nothing came that was not asked for."""
        return not self._ended and self._lost is None and self.parser.between_messages

    def quiet(self) -> bool:
        """Whether the kernel too has nothing to tell: no end of the stream still unread.

        Asked before a kept connection is used again, since what the loop has not read yet would
        otherwise be learnt from a request that must not be repeated.
        """
        if self._transport is None:
            return False
        poll = select.poll()
        poll.register(
            self._transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLRDHUP
        )
        return not poll.poll(0)

    @property
    def answered(self) -> bool:
        """Whether bytes of the answer have arrived."""
        return not self.parser.between_messages

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the answer."""
        self.parser.receive(data)
        if self.parser.buffered > _READ_AHEAD_BYTES and self._reading and self._transport:
            self._reading = False
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Take note of an orderly end: FIN, or close_notify under TLS (RFC 8446 section 6.1)."""
        self._ended = True
        self.parser.receive_eof()
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that it is over; without an orderly end before, the answer is truncated."""
        if not self._ended:
            self._lost = str(exc) if exc is not None else "it ended without notice"
        else:
            self._lost = "it has been closed"
        self._transport = None
        self._wake()
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)
        if not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        """Stop sending for now."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Send on."""
        self._write_paused = False
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)

    def send(self, data: bytes) -> bool:
        """Send; return False when the connection is gone."""
        if self._transport is None or self._transport.is_closing():
            return False
        if data:
            self._transport.write(data)
        return True

    async def drained(self) -> None:
        """Wait until the peer has taken enough, or is gone."""
        if self._write_paused and self._transport is not None:
            self._drain = asyncio.get_running_loop().create_future()
            await self._drain

    async def event(self) -> ResponseHead | bytes | End:
        """Return the next event of the answer. Raise CodecError, or Lost."""
        while True:
            event = self.parser.next_event()
            if isinstance(event, (ResponseHead, bytes, End)):
                return event
            if event is not NEED_DATA:
                raise Lost("it closed the connection without an answer", untouched=True)
            if self._lost is not None:
                raise Lost(self._lost, untouched=self.parser.between_messages)
            if not self._reading and self._transport is not None:
                self._reading = True
                self._transport.resume_reading()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def abort(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()

    async def closed(self) -> None:
        """Wait until the connection is gone."""
        await asyncio.shield(self._closed)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
