# cython: annotation_typing=False, auto_pickle=False
"""One connection: a sequence of requests, each answered before the next is read.

    FRESH     accepted, no byte yet        IDLE      between two requests
    HEAD      a head is incomplete         QUEUED    more to read, others have their turn
    BUSY      a handler is at work         BLOCKED   the peer does not take its answers
    LINGER    answered for the last time; what still comes is thrown away until the peer closes

Time is counted in the server's ticks, which only its sweep advances: a process that was stopped
for a while wakes up to no mass of timeouts.
"""

import asyncio
from typing import TYPE_CHECKING, cast

from pillion.http.codec import CLOSE, NEED_DATA, CodecError, encode_response_head
from pillion.http.codec.events import RequestHead  # where its C side is declared
from pillion.http.codec.requests import RequestParser
from pillion.http.paths import BadPathError, normalise, split_target

from .incoming import IncomingBody
from .messages import Peer, Refusal, Request, Response, problem
from .outgoing import encode_head, send_stream, stream_length

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .listener import Server

FRESH, IDLE, HEAD, QUEUED, BUSY, BLOCKED, LINGER, GONE = range(8)
# A client that sends a body which is too large reads the answer only when it has sent all of it.
_LINGER_BYTES = 4 << 20
_COPIED_BYTES = 16384  # above it a second write is cheaper than a copy


class Connection:
    """The protocol of one accepted or adopted connection; made by `Server` only."""

    __slots__ = (
        "_body",
        "_drained",
        "_eof",
        "_handled",
        "_lingered",
        "_reading",
        "_since",
        "_streaming",
        "_task",
        "_transport",
        "_write_since",
        "listener",
        "parser",
        "peer",
        "served",
        "server",
        "state",
        "write_paused",
    )

    def __init__(self, server: "Server", peer: Peer, listener: str, *, served: bool) -> None:
        self.server = server
        self.peer = peer
        self.listener = listener
        self.served = served
        self.state = IDLE if served else FRESH
        self.parser = RequestParser(server.codec_limits)
        self.write_paused = False
        self._transport: asyncio.Transport | None = None
        self._since = server.tick
        self._write_since = 0
        self._body: IncomingBody | None = None
        self._task: asyncio.Task[None] | None = None
        self._handled: Request | None = None
        self._streaming = False
        self._reading = True
        self._eof = False
        self._lingered = 0
        self._drained: asyncio.Future[None] | None = None

    # What the transport tells us.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; the server registers us."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has no such base class
        self.server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """End everything that was done for the peer."""
        self.state = GONE
        self._transport = None
        if self._task is not None:
            self._task.cancel()
        self.server.closed(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes: of a new request, of a body, or of what nobody reads any more."""
        self.server.counters.bytes_in += len(data)
        state = self.state
        if state == LINGER:
            self._lingered += len(data)
            if self._lingered > _LINGER_BYTES:
                self.abort()
            return
        self.parser.receive(data)
        if state <= HEAD:
            if state == IDLE:
                self._since = self.server.tick
            self._pump()
        elif self._body is not None:
            self._body.pull()
        elif self.parser.buffered > self.server.buffer_bytes:
            self.pause_reading()

    def eof_received(self) -> bool:
        """Take note of the peer's half-close; an answer under way is still sent."""
        self._eof = True
        self.parser.receive_eof()
        if self.state == LINGER:
            self.close()
        elif self.state <= HEAD:
            self._pump()
        else:
            if self._body is not None:
                self._body.pull()
            waits = self._handled is not None and self._handled.waits
            if (self._streaming or waits) and self._task is not None:
                # Nobody streams to a peer that left or waits for one, and a peer that left looks just like this.
                self._task.cancel()
        return True

    def pause_writing(self) -> None:
        """Stop producing: the peer is slower than we are."""
        self.write_paused = True
        self._write_since = self.server.tick

    def resume_writing(self) -> None:
        """Go on where writing stopped."""
        self.write_paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if self.state == BLOCKED:
            self._pump_soon()

    # Requests.

    def _pump(self) -> None:
        """Serve what has been received, until it is too little, too much, or a handler waits."""
        if self._transport is None:
            return
        turns = self.server.max_pipelined
        while not self.write_paused:
            if not turns and self.parser.buffered:
                self._pump_soon()
                return
            turns -= 1
            try:
                event = self.parser.next_event()
            except CodecError as error:
                self._refuse(error.status, error.reason)
                return
            if type(event) is RequestHead:
                if not self._serve(event):
                    return
            elif event is NEED_DATA:
                self._rest()
                return
            else:
                self.close()  # the peer closed between two requests
                return
        self.state = BLOCKED

    def _pump_soon(self) -> None:
        self.state = QUEUED
        self.server.loop.call_soon(self._pump)

    def _rest(self) -> None:
        """Wait for bytes."""
        if self.parser.buffered:
            if self.state > HEAD:
                self._since = self.server.tick
            self.state = HEAD
        elif self.served:
            self.state = IDLE
            self._since = self.server.tick
            if self.server.draining:
                self.server.changed()
        if not self._reading:
            self.resume_reading()

    def _serve(self, head: RequestHead) -> bool:
        """Have one request handled; return whether the next may follow at once."""
        server = self.server
        try:
            path, query = split_target(head.target)
            if "%" in path or "/." in path:
                path = normalise(path)
        except BadPathError as error:
            self._refuse(400, str(error))
            return False
        if head.expect is not None and head.expect.lower() != b"100-continue":
            self._refuse(417, "cannot meet the expectation; only 100-continue is known")
            return False
        request = Request(head, path, query, self.peer, self.listener)
        if head.length:
            request.body = self._body = IncomingBody(self, request, head.expect is not None)
        else:
            self.parser.next_event()
            request.complete = True
        self.served = True
        server.counters.requests += 1
        self.state = BUSY
        try:
            result = server.handler(request)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises becomes an answer
            result = self._answer_to(error, request)
        if isinstance(result, Response) and isinstance(result.body, bytes):
            return self._answer(request, result, result.body)
        self._task = server.start(self._run(request, result), f"{head.method} {path[:64]}")
        server.counters.busy += 1
        return False

    async def _run(self, request: Request, result: "Response | Awaitable[Response]") -> None:
        keep = False
        try:
            if not isinstance(result, Response):
                try:
                    self._handled = request
                    result = await result
                    if not isinstance(result, Response):
                        raise TypeError(f"a handler answers with {result!r}, not a Response")
                except Exception as error:  # noqa: BLE001 - as above
                    result = self._answer_to(error, request)
            if isinstance(result.body, bytes):
                keep = self._answer(request, result, result.body)
            else:
                keep = await self._stream(request, result)
        except BaseException:
            self.abort()
            raise
        finally:
            self._task = self._handled = None
            self.server.counters.busy -= 1
        if keep:
            self._pump()

    def _answer_to(self, error: Exception, request: Request) -> Response:
        if isinstance(error, Refusal):
            return problem(error.status, error.detail, error.headers)
        if isinstance(error, BadPathError):
            return problem(400, str(error))
        self.server.failed(error, request)
        return problem(500, "cannot answer: an internal error; the log of this process has it")

    # Answers.

    def _keeps(self, request: Request, response: Response) -> bool:
        """Return whether the connection lives on after this answer."""
        body = self._body
        if body is not None and not request.complete:
            # An unread body ends the connection: to wait would let the peer decide for how long.
            body.discard()
        if not request.head.keep_alive or not request.complete or response.close:
            return False
        ending = self._eof or self.server.closing_answers
        return not ending or self.parser.buffered > 0

    def _answer(self, request: Request, response: Response, body: bytes) -> bool:
        """Send a whole answer; return whether the next request may follow at once."""
        if self._transport is None:
            return False
        length = len(body)
        if request.method == "HEAD" and response.length is not None:
            length = response.length
        keep = self._keeps(request, response)
        try:
            head = encode_head(request, response, length, keep, self.server.date_line)
        except CodecError as error:
            return self._answer_invalid(request, error)
        self.server.counters.answered(response.status)
        if request.method == "HEAD":
            body = b""
        if length > _COPIED_BYTES:
            self.write(head)
            self.write(body)
        else:
            self.write(head + body)
        return self._finish(keep)

    def _answer_invalid(self, request: Request, error: CodecError) -> bool:
        self.server.failed(error, request)
        response = problem(500, "cannot answer: the handler's answer is not valid HTTP")
        assert isinstance(response.body, bytes)
        return self._answer(request, response, response.body)

    async def _stream(self, request: Request, response: Response) -> bool:
        length = stream_length(request, response)
        try:
            if self._transport is None:
                return False
            keep = self._keeps(request, response) and length != CLOSE
            try:
                head = encode_head(request, response, length, keep, self.server.date_line)
            except CodecError as error:
                return self._answer_invalid(request, error)
            self.server.counters.answered(response.status)
            self.write(head)
            self._streaming = True
            try:
                await send_stream(self, request, response, length)
            except Exception as error:  # noqa: BLE001 - the peer must see a truncated answer
                self.server.failed(error, request)
                self.server.counters.truncated += 1
                self.abort()
                return False
        finally:
            self._streaming = False
            aclose = getattr(response.body, "aclose", None)
            if aclose is not None:
                await aclose()
        return self.state != GONE and self._finish(keep)

    def _finish(self, keep: bool) -> bool:
        if self._body is not None:
            self._body.answered()
            self._body = None
        if keep:
            self.parser.next_message()
            return True
        self._linger()
        return False

    def _refuse(self, status: int, reason: str) -> None:
        """Answer a message that no handler gets to see, and close."""
        self.server.counters.rejected += 1
        answer = problem(status, reason)
        assert isinstance(answer.body, bytes)
        extra = self.server.date_line + b"connection: close\r\n"
        self.server.counters.answered(status)
        head = encode_response_head(status, answer.headers, len(answer.body), extra)
        self.write(head + answer.body)
        self._linger()

    def _linger(self) -> None:
        """Half-close, and let the peer read and close: a close now could destroy our answer."""
        self.state = LINGER
        self._since = self.server.tick
        transport = self._transport
        if transport is None:
            return
        if self._eof or not transport.can_write_eof():
            self.close()
            return
        transport.write_eof()
        self.resume_reading()
        if self.server.draining:
            self.server.changed()

    # The two directions of the transport.

    def write(self, data: bytes) -> None:
        """Send, if there is still someone to send to."""
        if data and self._transport is not None:
            self.server.counters.bytes_out += len(data)
            self._transport.write(data)

    async def writable(self) -> None:
        """Wait until the peer has taken enough; cancelled when it leaves."""
        self._drained = self.server.loop.create_future()
        try:
            await self._drained
        finally:
            self._drained = None

    def pause_reading(self) -> None:
        """Leave what arrives in the kernel."""
        if self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if not self._reading and self._transport is not None:
            self._reading = True
            self._transport.resume_reading()

    # What the server asks of us.

    def sweep(self, tick: int) -> None:
        """End what has waited for too long."""
        server = self.server
        waited = tick - self._since
        state = self.state
        if self.write_paused and tick - self._write_since > server.ticks.write:
            server.counters.timeouts += 1
            if state == BUSY:
                server.counters.truncated += 1
            self.abort()
        elif state == IDLE:
            if waited > server.ticks.idle:
                self.close()
        elif state == LINGER:
            if waited > server.ticks.linger and not server.draining:
                self.close()
        elif state == BUSY:
            if self._body is not None and self._body.expire(tick):
                server.counters.timeouts += 1
        elif state <= HEAD and waited > server.ticks.header:
            server.counters.timeouts += 1
            if self.parser.buffered:
                self._refuse(408, "cannot wait longer for the request's header")
            else:
                self.close()

    @property
    def idle(self) -> bool:
        """Whether nothing is under way in either direction, after at least one request."""
        transport = self._transport
        return (
            self.state == IDLE
            and not self._eof
            and transport is not None
            and not transport.is_closing()
            and not transport.get_write_buffer_size()
        )

    @property
    def silent(self) -> bool:
        """Whether it was accepted, and no byte has come."""
        return self.state == FRESH and not self.parser.buffered and not self._eof

    def descriptor(self) -> int:
        """Return the file descriptor, for a hand-over."""
        assert self._transport is not None
        descriptor: int = self._transport.get_extra_info("socket").fileno()
        return descriptor

    def abort(self) -> None:
        """Drop the connection at once; after a hand-over, only our descriptor of it."""
        if self._transport is not None:
            self.state = GONE
            self._transport.abort()

    def close(self) -> None:
        """Close once everything written has been sent."""
        if self._transport is not None:
            self._transport.close()
