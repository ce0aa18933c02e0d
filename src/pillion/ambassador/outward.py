# cython: annotation_typing=False, auto_pickle=False
"""One connection to an endpoint: what it says goes to the exchange that has it, and what it does without one ends it.

IDLE      in the pool; a byte that comes now answers nothing, and ends it
BUSY      an exchange has it; what comes is that exchange's answer
GONE      closed
"""

import asyncio
from typing import TYPE_CHECKING, cast

from pillion.http.codec import NEED_DATA, CodecError
from pillion.http.codec.events import End, ResponseHead
from pillion.http.codec.responses import ResponseParser

from .transports import SEALED_BYTES, write_sealed

if TYPE_CHECKING:
    from .endpoint import Endpoint
    from .exchange import Exchange
    from .hub import Hub
    from .pool import Pool


class Outward:
    """The protocol of one connection to an endpoint. `served` counts exchanges, `pooled` says whether the pool has it, `counted`
    whether it is one of those that the pool has opened.
    """

    __slots__ = (
        "connect_s",
        "counted",
        "endpoint",
        "eof",
        "exchange",
        "hub",
        "idle_since_s",
        "parser",
        "pool",
        "pooled",
        "reading",
        "served",
        "transport",
        "write_paused",
    )

    def __init__(self, hub: "Hub", endpoint: "Endpoint", pool: "Pool") -> None:
        self.hub = hub
        self.endpoint = endpoint
        self.pool = pool
        self.parser = ResponseParser(hub.answer_limits)
        self.exchange: Exchange | None = None
        self.transport: asyncio.Transport | None = None
        self.pooled = False
        self.served = 0
        self.idle_since_s = 0.0
        self.connect_s = 0.0
        self.write_paused = False
        self.reading = True
        self.eof = False
        self.counted = False

    # What the transport tells us.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast("asyncio.Transport", transport)
        self.counted = True
        self.pool.opened += 1
        self.hub.outward_open += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for an answer."""
        self.transport = None
        self.hub.outward_open -= 1
        self._uncount()
        pool = self.pool
        pool.forget(self)
        exchange = self.exchange
        if exchange is not None:
            # Without an end of file before it (TLS: without close_notify) a stream is cut, not complete.
            exchange.lost(self, exc)
        pool.freed()

    def data_received(self, data: bytes) -> None:
        """Take bytes of an answer."""
        exchange = self.exchange
        if exchange is None:
            # Nobody asked: an answer to nothing, or the half of one that was given up.
            self.pool.forget(self)
            self.abort()
            return
        self.parser.receive(data)
        self._read(exchange)

    def eof_received(self) -> bool:
        """The server sends nothing more; what it has sent may be a whole answer."""
        self.eof = True
        exchange = self.exchange
        if exchange is None:
            self.pool.forget(self)
            return False
        self.parser.receive_eof()
        self._read(exchange)
        return False

    def pause_writing(self) -> None:
        """The server takes less than the client sends."""
        self.write_paused = True
        if self.exchange is not None:
            self.exchange.hold_body()

    def resume_writing(self) -> None:
        """It takes more again."""
        self.write_paused = False
        if self.exchange is not None:
            self.exchange.go_on_body()

    # Answers.

    def _read(self, exchange: "Exchange") -> None:
        parser = self.parser
        try:
            while self.exchange is exchange:
                event = parser.next_event()
                if type(event) is bytes:
                    exchange.answer_data(event)
                elif type(event) is ResponseHead:
                    exchange.answer_head(self, event)
                elif type(event) is End:
                    exchange.answer_end(event)
                    return
                else:
                    if event is not NEED_DATA:
                        exchange.lost(self, None)
                        return
                    break
        except CodecError as error:
            exchange.broken(self, error)
            return
        if self.exchange is exchange:
            exchange.flush()

    # What the exchange does with us.

    def write(self, data: bytes) -> None:
        """Send, if there is still someone to send to."""
        transport = self.transport
        if transport is None:
            return
        if len(data) <= SEALED_BYTES or transport.can_write_eof():
            transport.write(data)
        else:
            write_sealed(transport, [data])

    def pause_reading(self) -> None:
        """Leave the rest of the answer in the kernel: the client is slow."""
        if self.reading and self.transport is not None:
            self.reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if not self.reading and self.transport is not None:
            self.reading = True
            self.transport.resume_reading()

    def release(self, now: float, keep: bool) -> None:
        """The exchange is done with us: back to the pool, or closed."""
        self.exchange = None
        self.served += 1
        if keep and self.transport is not None and not self.eof and not self.write_paused:
            self.parser.next_message()
            if not self.parser.unread():
                self.resume_reading()
                if self.pool.give(self, now):
                    self.hub.pool_kept(self.pool)
                    return
        self.close()

    def release_unused(self, now: float) -> None:
        """Whoever asked for us has gone on without: the next request may have us."""
        if self.transport is None or not self.pool.give(self, now):
            self.close()
        else:
            self.hub.pool_kept(self.pool)

    def detach(self) -> asyncio.Transport | None:
        """Give the transport away: what follows on it is no HTTP, and not ours."""
        transport, self.transport = self.transport, None
        self.exchange = None
        self.hub.outward_open -= 1
        self._uncount()
        self.pool.freed()
        return transport

    def leave(self) -> None:
        """Close, idle as we are: whoever asked for room has ours at once, and not only when the socket is gone."""
        self._uncount()
        self.close()

    def _uncount(self) -> None:
        """Our room is free; once."""
        if self.counted:
            self.counted = False
            self.pool.opened -= 1

    def close(self) -> None:
        """Close, what was written going out first."""
        self.exchange = None
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Close at once. Another try need not wait for the socket to be gone; those in line are called when it is."""
        self.exchange = None
        self._uncount()
        if self.transport is not None:
            self.transport.abort()
