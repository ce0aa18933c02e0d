"""One connection: a sequence of requests, each answered before the next is read.

    FRESH     accepted, no byte yet        IDLE      between two requests
    HEAD      a head is incomplete         QUEUED    more to read, others have their turn
    BUSY      a handler is at work         BLOCKED   the peer does not take its answers
    LINGER    answered for the last time; what still comes is thrown away until the peer closes

Time is counted in the server's ticks, which only its sweep advances: a process that was stopped
for a while wakes up to no mass of timeouts.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, cast

from pillion.http.codec import (
    CHUNKED,
    CLOSE,
    NEED_DATA,
    NONE,
    BodyEncoder,
    CodecError,
    End,
    RequestHead,
    RequestParser,
    encode_response_head,
)
from pillion.http.paths import BadPathError, normalise, split_target

from .messages import Peer, Refusal, Request, Response, problem

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .listener import Server

FRESH, IDLE, HEAD, QUEUED, BUSY, BLOCKED, LINGER, GONE = range(8)

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_LINGER_BYTES = 1 << 20
_CLASSES = ("", "1xx", "2xx", "3xx", "4xx", "5xx")


class Connection(asyncio.Protocol):
    """The protocol of one accepted or adopted connection; made by `Server` only."""

    __slots__ = (
        "_body_error",
        "_chunks",
        "_continue_due",
        "_drained",
        "_eof",
        "_held",
        "_lingered",
        "_parser",
        "_reading",
        "_request",
        "_server",
        "_since",
        "_streaming",
        "_task",
        "_transport",
        "_waiter",
        "_write_paused",
        "_write_since",
        "listener",
        "peer",
        "served",
        "state",
    )

    def __init__(self, server: "Server", peer: Peer, listener: str, *, served: bool) -> None:
        self._server = server
        self.peer = peer
        self.listener = listener
        self.served = served
        self.state = IDLE if served else FRESH
        self._parser = RequestParser(server.codec_limits)
        self._transport: asyncio.Transport | None = None
        self._since = server.tick
        self._request: Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._streaming = False
        self._reading = True
        self._eof = False
        self._lingered = 0
        self._write_paused = False
        self._write_since = 0
        self._drained: asyncio.Future[None] | None = None
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._waiter: asyncio.Future[None] | None = None
        self._body_error: Refusal | None = None
        self._continue_due = False

    # What the transport tells us.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; the server registers us."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has no such base class
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """End everything that was done for the peer."""
        self.state = GONE
        self._transport = None
        if self._task is not None:
            self._task.cancel()
        if self._drained is not None and not self._drained.done():
            self._drained.cancel()
        self._server.closed(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes: of a new request, of a body, or of what nobody reads any more."""
        self._server.counters.bytes_in += len(data)
        state = self.state
        if state == LINGER:
            self._lingered += len(data)
            if self._lingered > _LINGER_BYTES:
                self.abort()
            return
        self._parser.receive(data)
        if state <= HEAD:
            if state == IDLE:
                self._since = self._server.tick
            self._pump()
        elif state == BUSY and self._request is not None and not self._request.complete:
            self._pull_body()
        elif self._parser.buffered > self._server.limits.buffer_bytes:
            self._pause_reading()

    def eof_received(self) -> bool:
        """Take note of the peer's half-close; an answer under way is still sent."""
        self._eof = True
        self._parser.receive_eof()
        state = self.state
        if state == LINGER:
            self._close()
        elif state <= HEAD:
            self._pump()
        elif state == BUSY:
            if self._request is not None and not self._request.complete:
                self._pull_body()
            if self._streaming and self._task is not None:
                # Nobody streams to a peer that left, and a peer that left looks just like this.
                self._task.cancel()
        return True

    def pause_writing(self) -> None:
        """Stop producing: the peer is slower than we are."""
        self._write_paused = True
        self._write_since = self._server.tick

    def resume_writing(self) -> None:
        """Go on where writing stopped."""
        self._write_paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if self.state == BLOCKED:
            self._pump_soon()

    # Requests.

    def _pump(self) -> None:
        """Serve what has been received, until it is too little, too much, or a handler waits."""
        if self._transport is None:
            return
        turns = self._server.limits.max_pipelined
        while not self._write_paused:
            if not turns and self._parser.buffered:
                self._pump_soon()
                return
            turns -= 1
            try:
                event = self._parser.next_event()
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
                self._close()  # the peer closed between two requests
                return
        self.state = BLOCKED

    def _pump_soon(self) -> None:
        self.state = QUEUED
        self._server.loop.call_soon(self._pump)

    def _rest(self) -> None:
        """Wait for bytes."""
        if self._parser.buffered:
            if self.state > HEAD:
                self._since = self._server.tick
            self.state = HEAD
        elif self.served:
            self.state = IDLE
            self._since = self._server.tick
            if self._server.draining:
                self._server.changed()
        if not self._reading:
            self._resume_reading()

    def _serve(self, head: RequestHead) -> bool:
        """Have one request handled; return whether the next may follow at once."""
        server = self._server
        try:
            path, query = split_target(head.target)
            path = normalise(path)
        except BadPathError as error:
            self._refuse(400, str(error))
            return False
        if head.expect is not None:
            if head.expect.lower() != b"100-continue":
                self._refuse(417, "cannot meet the expectation; only 100-continue is known")
                return False
            self._continue_due = head.length != 0
        request = Request(self, head, path, query, self.peer, self.listener)
        self.served = True
        server.counters.requests += 1
        if head.length == 0:
            self._parser.next_event()
            request.complete = True
        else:
            self._chunks.clear()
            self._held = 0
            self._body_error = None
        self._request = request
        self.state = BUSY
        try:
            result = server.handler(request)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises becomes an answer
            result = self._answer_to(error, request)
        if isinstance(result, Response) and isinstance(result.body, bytes):
            return self._answer(request, result, result.body)
        self._task = server.loop.create_task(
            self._run(request, result), name=f"{server.name} {head.method} {path[:64]}"
        )
        server.counters.busy += 1
        return False

    async def _run(self, request: Request, result: "Response | Awaitable[Response]") -> None:
        keep = False
        try:
            if not isinstance(result, Response):
                try:
                    result = await result
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
            self._task = None
            self._server.counters.busy -= 1
        if keep:
            self._pump()

    def _answer_to(self, error: Exception, request: Request) -> Response:
        if isinstance(error, Refusal):
            return problem(error.status, error.detail, error.headers)
        if isinstance(error, BadPathError):
            return problem(400, str(error))
        self._server.failed(error, request)
        return problem(500, "cannot answer: an internal error; the sidecar's log has its trace")

    # Answers.

    def _head(self, request: Request, response: Response, length: int) -> tuple[bytes, bool]:
        """Return the encoded head, and whether the connection lives on after this answer."""
        server = self._server
        status = response.status
        if status < 200 or (request.method == "CONNECT" and status < 300):
            raise CodecError(500, f"cannot answer {request.method} with {status}")
        if status in (204, 304) and isinstance(response.body, bytes) and response.body:
            raise CodecError(500, f"cannot send a body with status {status}")
        if not request.complete:
            self._pull_body()
        # An unread body ends the connection: waiting for it would let the peer decide for how long.
        keep = request.head.keep_alive and request.complete and not response.close
        if keep and (self._eof or server.closing_answers) and not self._parser.buffered:
            keep = False
        if status == 204 or (status == 304 and response.length is None):
            length = NONE
        extra = server.date_line
        if not keep or length == CLOSE:
            keep = False
            extra += b"connection: close\r\n"
        elif request.minor == 0:
            extra += b"connection: keep-alive\r\n"
        return encode_response_head(status, response.headers, length, extra), keep

    def _answer(self, request: Request, response: Response, body: bytes) -> bool:
        """Send a whole answer; return whether the next request may follow at once."""
        if self._transport is None:
            return False
        length = len(body)
        if request.method == "HEAD" and response.length is not None:
            length = response.length
        try:
            head, keep = self._head(request, response, length)
        except CodecError as error:
            return self._answer_invalid(request, error)
        self._count(response.status)
        self._write(head if request.method == "HEAD" else head + body)
        return self._finish(keep)

    def _answer_invalid(self, request: Request, error: CodecError) -> bool:
        self._server.failed(error, request)
        response = problem(500, "cannot answer: the handler's answer is not valid HTTP")
        assert isinstance(response.body, bytes)
        return self._answer(request, response, response.body)

    async def _stream(self, request: Request, response: Response) -> bool:
        body = response.body
        assert not isinstance(body, bytes)
        length = response.length
        if length is None:
            length = CHUNKED if request.minor else CLOSE
        try:
            if self._transport is None:
                return False
            try:
                head, keep = self._head(request, response, length)
            except CodecError as error:
                return self._answer_invalid(request, error)
            self._count(response.status)
            self._write(head)
            if request.method != "HEAD" and response.status not in (204, 304):
                self._streaming = True
                encoder = BodyEncoder(length)
                try:
                    async for chunk in body:
                        self._write(encoder.data(chunk))
                        if self._write_paused:
                            await self._writable()
                    trailers = response.trailers
                    self._write(encoder.end(trailers() if callable(trailers) else trailers))
                except Exception as error:  # noqa: BLE001 - the peer must see a truncated answer
                    self._server.failed(error, request)
                    self._server.counters.truncated += 1
                    self.abort()
                    return False
                finally:
                    self._streaming = False
        finally:
            aclose = getattr(body, "aclose", None)
            if aclose is not None:
                await aclose()
        return self.state != GONE and self._finish(keep)

    def _finish(self, keep: bool) -> bool:
        self._request = None
        self._continue_due = False
        self._chunks.clear()
        self._held = 0
        if keep:
            self._parser.next_message()
            return True
        self._linger()
        return False

    def _refuse(self, status: int, reason: str) -> None:
        """Answer a message that no handler gets to see, and close."""
        self._server.counters.rejected += 1
        body = problem(status, reason)
        assert isinstance(body.body, bytes)
        extra = self._server.date_line + b"connection: close\r\n"
        self._count(status)
        self._write(encode_response_head(status, body.headers, len(body.body), extra) + body.body)
        self._linger()

    def _linger(self) -> None:
        """Half-close, and let the peer read and close: a close now could destroy our answer."""
        self.state = LINGER
        self._since = self._server.tick
        self._lingered = 0
        self._chunks.clear()
        transport = self._transport
        if transport is None:
            return
        if self._eof or not transport.can_write_eof():
            self._close()
            return
        transport.write_eof()
        self._resume_reading()
        if self._server.draining:
            self._server.changed()

    def _count(self, status: int) -> None:
        self._server.counters.responses[_CLASSES[status // 100]] += 1

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._server.counters.bytes_out += len(data)
            self._transport.write(data)

    async def _writable(self) -> None:
        self._drained = self._server.loop.create_future()
        try:
            await self._drained
        finally:
            self._drained = None

    # Bodies of requests.

    async def more_body(self, request: Request) -> bytes:
        """Return the next piece of the body, b"" at its end. Raise Refusal (400, 408, 413)."""
        while True:
            if request is not self._request:
                if request.complete:
                    return b""
                raise Refusal(400, "cannot read the body: the request has been answered")
            if self._chunks:
                chunk = self._chunks.popleft()
                self._held -= len(chunk)
                return chunk
            if self._body_error is not None:
                raise self._body_error
            if request.complete:
                return b""
            self._pull_body()
            if self._chunks or self._body_error is not None or request.complete:
                continue
            if self._continue_due:
                self._continue_due = False
                self._write(_CONTINUE)
            self._resume_reading()
            self._since = self._server.tick
            self._waiter = self._server.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _pull_body(self) -> None:
        """Move body data from the parser into the queue, as far as the bound allows."""
        request = self._request
        assert request is not None
        bound = self._server.limits.buffer_bytes
        try:
            while self._held < bound and self._body_error is None:
                event = self._parser.next_event()
                if isinstance(event, bytes):
                    self._continue_due = False
                    self._chunks.append(event)
                    self._held += len(event)
                elif isinstance(event, End):
                    request.trailers = event.trailers
                    request.complete = True
                    break
                else:
                    break
        except CodecError as error:
            self._server.counters.rejected += 1
            self._body_error = Refusal(error.status, error.reason)
        if self._held >= bound or self._parser.buffered > bound:
            self._pause_reading()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _pause_reading(self) -> None:
        if self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if not self._reading and self._transport is not None:
            self._reading = True
            self._transport.resume_reading()

    # What the server asks of us.

    def sweep(self, tick: int) -> None:
        """End what has waited for too long."""
        ticks = self._server.ticks
        waited = tick - self._since
        state = self.state
        if self._write_paused and tick - self._write_since > ticks.write:
            self._server.counters.timeouts += 1
            if state == BUSY:
                self._server.counters.truncated += 1
            self.abort()
        elif state == IDLE:
            if waited > ticks.idle:
                self._close()
        elif state == LINGER:
            if waited > ticks.linger and not self._server.draining:
                self._close()
        elif state == BUSY:
            if self._waiter is not None and waited > ticks.body:
                self._server.counters.timeouts += 1
                self._body_error = Refusal(408, "cannot wait longer for the body")
                if not self._waiter.done():
                    self._waiter.set_result(None)
        elif state <= HEAD and waited > ticks.header:
            self._server.counters.timeouts += 1
            if self._parser.buffered:
                self._refuse(408, "cannot wait longer for the request's header")
            else:
                self._close()

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

    def freeze(self) -> int:
        """Stop reading, for a hand-over; return the descriptor. What arrives stays in the kernel."""
        assert self._transport is not None
        self._pause_reading()
        descriptor: int = self._transport.get_extra_info("socket").fileno()
        return descriptor

    def thaw(self) -> None:
        """Read on: the hand-over did not happen."""
        self._resume_reading()

    def abort(self) -> None:
        """Drop the connection at once; after a hand-over, only our descriptor of it."""
        if self._transport is not None:
            self._transport.abort()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    close = _close
