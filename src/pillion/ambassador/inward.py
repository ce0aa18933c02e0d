# cython: annotation_typing=False, auto_pickle=False
"""One connection of a client: a sequence of requests, each answered before the next is read.

    FRESH     accepted, no byte yet        IDLE      between two requests
    HEAD      a head is incomplete         QUEUED    more to read, others have their turn
    BUSY      an exchange is under way     LINGER    answered for the last time; what still comes is thrown away
    TUNNEL    no longer ours               GONE      closed

Time is counted in the hub's ticks, which only its sweep advances: a process that was stopped for a while wakes up to no
mass of timeouts.
"""

import asyncio
from typing import TYPE_CHECKING, cast

from pillion.http.codec import NEED_DATA, CodecError
from pillion.http.codec.events import End, RequestHead
from pillion.http.codec.requests import RequestParser

from .answers import OwnAnswer, encode
from .exchange import Exchange

if TYPE_CHECKING:
    from .hub import Door, Hub
    from .peer import Peer

FRESH, IDLE, HEAD, QUEUED, BUSY, LINGER, TUNNEL, GONE = range(8)
_LINGER_BYTES = 4 << 20
_BUFFER_BYTES = 65536
_TURNS = 16


class Inward:
    """The protocol of one accepted or adopted connection."""

    __slots__ = (
        "asked",
        "asked_text",
        "body_held",
        "door",
        "eof",
        "exchange",
        "hub",
        "lingered",
        "parser",
        "peer",
        "peer_bytes",
        "peer_text",
        "pumping",
        "reading",
        "reading_body",
        "scheme",
        "served",
        "since",
        "state",
        "transport",
        "write_paused",
        "write_since",
    )

    def __init__(self, hub: "Hub", door: "Door", peer: "Peer", *, served: bool = False) -> None:
        self.hub = hub
        self.door = door
        self.peer = peer
        # Of the peer what every request asks for.
        self.peer_text = peer.address
        self.peer_bytes = peer.address.encode()
        self.scheme = peer.scheme
        # The host that was asked for last, and its text: it hardly ever changes.
        self.asked = b""
        self.asked_text = ""
        self.parser = RequestParser(hub.request_limits)
        self.transport: asyncio.Transport | None = None
        self.exchange: Exchange | None = None
        self.state = IDLE if served else FRESH
        self.served = served
        self.since = hub.read_tick()
        self.write_since = 0
        self.write_paused = False
        self.reading = True
        self.reading_body = False
        self.body_held = False
        self.pumping = False
        self.eof = False
        self.lingered = 0

    # What the transport tells us.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; the hub registers us."""
        self.transport = cast("asyncio.Transport", transport)
        self.hub.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """End what is done for the client."""
        self.transport = None
        self.state = GONE
        self.hub.closed(self)
        exchange = self.exchange
        if exchange is not None:
            self.exchange = None
            exchange.client_left()

    def data_received(self, data: bytes) -> None:
        """Take bytes: of a new request, of a body, or of what nobody reads any more."""
        state = self.state
        if state == LINGER:
            self.lingered += len(data)
            if self.lingered > _LINGER_BYTES:
                self.abort()
            return
        self.parser.receive(data)
        if state <= HEAD:
            if state == IDLE:
                self.since = self.hub.read_tick()
            self._pump()
        elif self.reading_body:
            self.since = self.hub.read_tick()
            if not self.body_held:
                self._read_body()
            elif self.parser.unread() > _BUFFER_BYTES:
                self.pause_reading()
        elif self.parser.unread() > _BUFFER_BYTES:
            self.pause_reading()

    def eof_received(self) -> bool:
        """Take note of the client's half-close; an answer under way is still sent."""
        self.eof = True
        self.parser.receive_eof()
        if self.state == LINGER:
            self.close()
        elif self.state <= HEAD:
            self._pump()
        elif self.reading_body and not self.body_held:
            self._read_body()
        return True

    def pause_writing(self) -> None:
        """The client takes less than the server sends."""
        self.write_paused = True
        self.write_since = self.hub.read_tick()
        if self.exchange is not None:
            self.exchange.hold_answer()

    def resume_writing(self) -> None:
        """It takes more again."""
        self.write_paused = False
        if self.exchange is not None:
            self.exchange.go_on_answer()
        elif self.state == QUEUED:
            self._pump()

    # Requests.

    def _pump(self) -> None:
        """Serve what has been received, until it is too little, too much, or an exchange is under way."""
        if self.pumping or self.transport is None:
            return
        self.pumping = True
        turns = _TURNS
        try:
            while self.transport is not None:
                if not turns or self.write_paused:
                    self.state = QUEUED
                    if not self.write_paused:
                        self.hub.loop.call_soon(self._pump)
                    return
                turns -= 1
                try:
                    event = self.parser.next_event()
                except CodecError as error:
                    self._refuse(error.status, error.reason)
                    return
                if type(event) is RequestHead:
                    self._begin(event)
                    if self.exchange is not None or self.state != IDLE:
                        return
                elif event is NEED_DATA:
                    self._rest()
                    return
                else:
                    self.close()  # the client closed between two requests
                    return
        finally:
            self.pumping = False

    def _begin(self, head: RequestHead) -> None:
        self.served = True
        self.state = BUSY
        exchange = Exchange(self, head)
        self.exchange = exchange
        if head.length:
            self.reading_body = True
            self.body_held = False
            exchange.begin()
            if self.exchange is exchange and self.parser.unread() and not self.body_held:
                self._read_body()
        else:
            self.parser.next_event()
            exchange.complete = True
            exchange.begin()

    def _read_body(self) -> None:
        exchange = self.exchange
        while self.exchange is exchange and exchange is not None and self.reading_body:
            if self.body_held:
                return
            try:
                event = self.parser.next_event()
            except CodecError as error:
                self.reading_body = False
                exchange.body_broken(error)
                return
            if type(event) is bytes:
                exchange.body(event)
            elif type(event) is End:
                self.reading_body = False
                exchange.body_end(event)
            else:
                return

    def hold_body(self) -> None:
        """The server takes no more of the body for now."""
        self.body_held = True
        if self.reading_body:
            self.pause_reading()

    def go_on_body(self) -> None:
        """It takes more."""
        if self.body_held:
            self.body_held = False
            self.resume_reading()
            if self.reading_body:
                self._read_body()

    def _rest(self) -> None:
        """Wait for bytes."""
        if self.parser.unread():
            if self.state != HEAD:
                self.since = self.hub.read_tick()
            self.state = HEAD
        elif self.served:
            self.state = IDLE
            self.since = self.hub.read_tick()
            if self.hub.draining:
                self.hub.rested(self)
        self.resume_reading()

    def done(self, keep: bool) -> None:
        """The exchange has ended, its answer is written: on to the next request, or to the end."""
        self.exchange = None
        self.body_held = False
        if self.transport is None:
            return
        if keep and not self.reading_body:
            self.parser.next_message()
            self.state = IDLE
            if self.parser.unread() or self.eof:
                self._pump()
            else:
                self._rest()
            return
        self.reading_body = False
        self.linger()

    def _refuse(self, status: int, why: str) -> None:
        """Answer a message that no exchange gets to see, and close."""
        self.hub.refused(self, status, why)
        answer = OwnAnswer("bad-request", why, status)
        self.write(encode(answer, "GET", self.hub.date_line, close=True))
        self.linger()

    def linger(self) -> None:
        """Half-close, and let the client read and close: a close now could destroy our answer."""
        transport = self.transport
        self.state = LINGER
        self.since = self.hub.read_tick()
        if transport is None:
            return
        if self.eof or not transport.can_write_eof():
            self.close()
            return
        transport.write_eof()
        self.resume_reading()

    # The two directions of the transport.

    def write(self, data: bytes) -> None:
        """Send, if there is still someone to send to."""
        if self.transport is not None:
            self.transport.write(data)

    def pause_reading(self) -> None:
        """Leave what arrives in the kernel."""
        if self.reading and self.transport is not None:
            self.reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if not self.reading and self.transport is not None:
            self.reading = True
            self.transport.resume_reading()

    def close(self) -> None:
        """Close, what was written going out first."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Close at once: the client is to see that its answer is not whole."""
        if self.transport is not None:
            self.transport.abort()

    def detach(self) -> asyncio.Transport | None:
        """Give the transport away: what follows on it is no HTTP, and not ours."""
        transport, self.transport = self.transport, None
        self.state = TUNNEL
        return transport

    # What the hub asks of us.

    @property
    def resting(self) -> bool:
        """Whether nothing is under way, or nothing any more."""
        return self.state == IDLE or self.state == LINGER

    @property
    def idle(self) -> bool:
        """Between two requests, nothing received and nothing to send: it can be passed on."""
        return (
            self.state == IDLE
            and not self.parser.unread()
            and not self.eof
            and self.transport is not None
            and not self.transport.get_write_buffer_size()
        )

    @property
    def silent(self) -> bool:
        """Accepted, and not a byte received."""
        return self.state == FRESH and self.transport is not None

    def sweep(self, tick: int) -> None:
        """End what has waited for too long."""
        hub = self.hub
        state = self.state
        waited = tick - self.since
        if self.write_paused and tick - self.write_since > hub.write_ticks:
            hub.timeouts += 1
            if self.exchange is not None:
                self.exchange.note = "write-timeout"
            self.abort()
        elif state == HEAD:
            if waited > hub.header_ticks:
                hub.timeouts += 1
                self._refuse(408, "cannot wait longer for the rest of the request's header")
        elif state == FRESH:
            if waited > hub.header_ticks:
                hub.timeouts += 1
                self.close()
        elif state == IDLE:
            if waited > hub.idle_ticks:
                self.close()
        elif state == LINGER and waited > hub.linger_ticks:
            self.abort()
