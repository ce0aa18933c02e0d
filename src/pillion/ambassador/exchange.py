# cython: annotation_typing=False, auto_pickle=False
"""One request from its head to its last byte: routed, limited, tried, tried again, answered, and told of once.

    QUEUED      waits for a place or a connection (`limit`)     DELAYED   waits before a try: back-off, or a fault
    CONNECTING  waits for a connection                          SENT      waits for the head of the answer
    ANSWERING   the answer is passed on                         TUNNEL    an accepted upgrade: bytes both ways
    DONE        over

Retry(breaker(timeout(call))): each try asks the breaker of its endpoint and has its own time; what goes round it is the total time. Nothing
is tried again after the client has received a byte. There is no task and no timer per request: callbacks of the two
connections move it on, and the hub's sweep looks at its deadline.
"""

from typing import TYPE_CHECKING
from zlib import crc32

from pillion.http.codec import octets
from pillion.http.codec.encode import encode_fields
from pillion.http.codec.events import CHUNKED, CodecError
from pillion.http.codec.names import CONTENT_LENGTH
from pillion.http.methods import IDEMPOTENT
from pillion.settings.policies import Retry, Timeouts

from .answers import OwnAnswer, encode
from .connector import LOOP_DETECTED
from .facts import Facts
from .fields import trailer_fields, upgrade_of
from .live import Times
from .retry import Failure, RetryPolicy
from .transports import SEALED_BYTES, write_sealed

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pillion.http.codec.block import Block
    from pillion.http.codec.events import End, RequestHead, ResponseHead

    from .concurrency import Ticket
    from .endpoint import Endpoint
    from .inward import Inward
    from .live import LiveRoute, LiveUpstream
    from .outward import Outward
    from .pool import Pool
    from .trace import Trace

QUEUED, DELAYED, CONNECTING, SENT, ANSWERING, TUNNEL, DONE = range(7)

REPLAY_BYTES = 65536
"""Of a request's body kept for another try; with more there is none."""
_WHOLE_BYTES = 16384  # a write of its own is cheaper than a copy above it
_MOST_INFORMATIONAL = 16
_MOST_LOOKS = 3
_NEVER = 1e18
_LEAST_RETRIED = 429
_WITH_BODY = frozenset(("POST", "PUT", "PATCH"))
# A request that must not be repeated does not go out on a connection that its server may be about to close.
_FRESH_S = 1.0
_NO_TIMES = Times(Timeouts())
_NO_RETRY = RetryPolicy(Retry(attempts=0))
_NOBODY: "list[Endpoint]" = []
_status_lines: dict[int, tuple[bytes, bytes]] = {}


class Exchange(Facts):
    """Made by `Inward` for each request, which then calls `begin`.

    It is itself what is known of the request when it is over; names of route, upstream and endpoint are written down then.
    """

    __slots__ = (
        "answered",
        "asked",
        "began_s",
        "begun",
        "chunked",
        "client",
        "close_after",
        "complete",
        "conn",
        "deadline_s",
        "door",
        "hash_key",
        "head",
        "held",
        "hub",
        "informational",
        "kept_body",
        "kept_bytes",
        "last",
        "last_s",
        "live_endpoint",
        "live_route",
        "live_upstream",
        "out",
        "placed",
        "replayable",
        "retry",
        "reusable",
        "sent_any",
        "state",
        "target",
        "ticket",
        "timeouts",
        "timer",
        "token",
        "total_at_s",
        "trace",
        "trailer_block",
        "tried",
        "try_at_s",
        "way",
    )

    def __init__(self, client: "Inward", head: "RequestHead") -> None:
        self._at_first("", "")
        self.client = client
        self.door = client.door
        self.hub = client.hub
        self.way = client.door.way
        self.head = head
        self.state = DELAYED
        self.complete = False
        """Whether the request has been received to its end."""
        self.target = ""
        self.live_route: LiveRoute | None = None
        self.live_upstream: LiveUpstream | None = None
        self.timeouts: Times = _NO_TIMES
        self.retry: RetryPolicy = _NO_RETRY
        self.live_endpoint: Endpoint | None = None
        self.asked: Endpoint | None = None
        """The one to which we wait for a connection."""
        self.held: Endpoint | None = None
        """That of a tunnel."""
        self.conn: Outward | None = None
        self.token = 0
        self.last: Endpoint | None = None
        """That of the last try."""
        self.tried: list[Endpoint] = _NOBODY
        """Those of the tries before it. Never changed, but replaced."""
        self.hash_key: int | None = None
        self.trace: Trace | None = None
        self.kept_body: list[bytes] | None = None
        self.kept_bytes = 0
        self.trailer_block = b""
        self.replayable = True
        self.sent_any = False
        """Whether a byte of this try may have reached the endpoint."""
        self.out: Block | None = None
        """What the client is to be sent next; borrowed from the hub until then."""
        self.answered = False
        """Whether there is the head of an answer to pass on."""
        self.begun = False
        """Whether the client has been sent something of it."""
        self.chunked = False
        self.close_after = False
        self.reusable = False
        """Whether the endpoint takes another request on its connection (RFC 9112 section 9.3)."""
        self.informational = 0
        self.ticket: Ticket | None = None
        self.placed = False
        """Whether it has one of the upstream's places."""
        self.timer: asyncio.TimerHandle | None = None
        self.began_s = 0.0
        self.last_s = 0.0
        self.deadline_s = _NEVER
        self.total_at_s = _NEVER
        self.try_at_s = _NEVER

    # The way in.

    def begin(self) -> None:
        """Decide where it goes, and send it there; or answer it."""
        now = octets.now()
        self.began_s = self.last_s = now
        hub = self.hub
        self.trace = hub.begin_trace(self.head.headers)
        hub.began(self)
        refusal = self.way.resolve(self, now)
        if refusal is not None:
            self.answer_own(refusal)
            return
        if self.state >= TUNNEL:  # a CONNECT: others carry it from here
            return
        upstream = self.live_upstream
        assert upstream is not None
        timeouts = self.timeouts
        if timeouts.total_s:
            self.total_at_s = now + timeouts.total_s
        gate = upstream.gate
        if gate is not None:
            self.placed = gate.enter()
        if gate is not None and not self.placed:
            self.ticket = gate.wait(self._entered)
            if self.ticket is None:
                self._own("overloaded", f"cannot take more for {upstream.name}: its queue is full")
                return
            self.state = QUEUED
            self.try_at_s = now + upstream.queue_timeout_s
            self._arm()
            return
        self._admitted(now)

    def _entered(self) -> None:
        """A place has become free; we have it."""
        self.ticket = None
        self.placed = True
        self.try_at_s = _NEVER
        self._admitted(octets.now())

    def _admitted(self, now: float) -> None:
        upstream = self.live_upstream
        assert upstream is not None
        self.state = CONNECTING
        upstream.lasting.requests += 1
        upstream.budget.request(now)
        if upstream.hash_kind:
            self.hash_key = self._hashed(upstream.hash_kind, upstream.hash_name)
        fault = self.live_route.fault if self.live_route is not None else None
        if fault is None:
            fault = upstream.fault
        if fault is not None:
            delay_s, abort = self.hub.decide_fault(fault, self.head.headers)
            if delay_s:
                self._later(delay_s, self._after_fault, abort)
                return
            if abort:
                self._after_fault(abort)
                return
        self._try(now)

    def _after_fault(self, abort: int) -> None:
        self.timer = None
        if abort:
            self.answer_own(
                OwnAnswer("fault-injected", "a fault was injected here, as the settings say", abort)
            )
        else:
            self._try(octets.now())

    def _hashed(self, kind: str, name: bytes) -> "int | None":
        if kind == "address":
            return crc32(self.client.peer.address.encode())
        headers = self.head.headers
        if kind == "header":
            value = headers.get(name)
            return None if value is None else crc32(value)
        for one in headers.get_all(b"cookie"):
            for pair in one.split(b";"):
                key, _, value = pair.strip().partition(b"=")
                if key == name:
                    return crc32(value)
        return None

    # Tries.

    def _try(self, now: float) -> None:
        upstream = self.live_upstream
        assert upstream is not None
        endpoint = upstream.group.pick(now, self.hash_key, self.tried)
        if endpoint is None:
            self.answer_own(upstream.nowhere(now))
            return
        pool = endpoint.pool
        if pool is None:
            pool = upstream.pool_for(endpoint)
        conn = None
        within_s = _NEVER if self.head.method in IDEMPOTENT else _FRESH_S
        if not pool.line.waiting:
            conn = pool.take(now, within_s)
        if conn is None and pool.most and (pool.line.waiting or not pool.room()):
            other = self._roomy(endpoint, now)
            if other is None:
                self._wait(endpoint, pool, now)
                return
            endpoint, pool = other, other.pool
            assert pool is not None
            conn = pool.take(now, within_s)
            if conn is None:
                pool.room()
        self._go(endpoint, pool, conn, now)

    def _roomy(self, full: "Endpoint", now: float) -> "Endpoint | None":
        """Another endpoint that has a connection, or room for one. A key waits where it belongs."""
        upstream = self.live_upstream
        assert upstream is not None
        if self.hash_key is not None:
            return None
        passed = [*self.tried, full]
        for _ in range(_MOST_LOOKS):
            endpoint = upstream.group.pick(now, None, passed)
            if endpoint is None or endpoint in passed:
                return None
            pool = endpoint.pool
            if pool is None:
                pool = upstream.pool_for(endpoint)
            if not pool.line.waiting and (pool.idle or pool.room()):
                return endpoint
            passed.append(endpoint)
        return None

    def _wait(self, endpoint: "Endpoint", pool: "Pool", now: float) -> None:
        """Wait for a connection to this endpoint, if there is a place in the queue."""
        upstream = self.live_upstream
        assert upstream is not None
        lasting = upstream.lasting
        if lasting.waiting >= upstream.queue:
            lasting.rejected += 1
            self._own(
                "overloaded",
                f"cannot open more than {pool.most} connections to {endpoint.key}",
            )
            return
        lasting.waiting += 1
        self.asked = endpoint
        self.state = QUEUED
        self.try_at_s = now + upstream.queue_timeout_s
        pool.line.join(self)
        self._arm()

    def room(self) -> None:
        """There is a connection to the endpoint that we wait for, or room for one: it is our turn."""
        now = octets.now()
        upstream, endpoint = self.live_upstream, self.asked
        assert upstream is not None
        assert endpoint is not None
        self.asked = None
        upstream.lasting.waiting -= 1
        self.try_at_s = _NEVER
        self.state = CONNECTING
        pool = endpoint.pool
        assert pool is not None
        if pool.closed or not upstream.group.still(endpoint, now):
            # It has gone, or failed, while we waited.
            self._try(now)
            return
        conn = pool.take(now, _NEVER if self.head.method in IDEMPOTENT else _FRESH_S)
        if conn is None and not pool.room():
            self._wait(endpoint, pool, now)
            return
        self._go(endpoint, pool, conn, now)

    def _waits_no_more(self) -> None:
        """We have given up, whatever we waited for."""
        upstream = self.live_upstream
        if upstream is None:
            return
        gate, endpoint = upstream.gate, self.asked
        if endpoint is not None:
            self.asked = None
            upstream.lasting.waiting -= 1
            pool = endpoint.pool
            assert pool is not None
            pool.line.leave(self)
        if gate is not None:
            if self.placed:
                self.placed = False
                gate.leave()
            elif self.ticket is not None:
                gate.cancel(self.ticket)
                self.ticket = None

    def _go(self, endpoint: "Endpoint", pool: "Pool", conn: "Outward | None", now: float) -> None:
        """Try it there, on `conn` or on a connection that is to be made."""
        upstream = self.live_upstream
        assert upstream is not None
        self.attempts += 1
        self.live_endpoint = endpoint
        self.last = endpoint
        endpoint.active += 1
        endpoint.requests += 1
        self.token = endpoint.breaker.begin(now)
        self.sent_any = False
        self.state = CONNECTING
        self.try_at_s = now + self.timeouts.try_s if self.timeouts.try_s else _NEVER
        if conn is not None:
            self._send(conn, now)
            return
        self._arm()
        self.hub.connect(self, upstream, endpoint, pool)

    def connected(self, conn: "Outward", attempt: int) -> None:
        """The hub has connected for our try number `attempt`; when that is over, the connection goes to the pool."""
        now = octets.now()
        if self.state != CONNECTING or attempt != self.attempts:
            conn.release_unused(now)
            return
        if self.connect_s < 0:
            self.connect_s = conn.connect_s
        self._send(conn, now)

    def not_connected(self, attempt: int, reason: str, detail: str) -> None:
        """The hub could not connect for our try number `attempt`."""
        if self.state != CONNECTING or attempt != self.attempts:
            return
        if reason == LOOP_DETECTED:
            # Nobody has failed: the request is where it has been before, and would be again.
            self._own(reason, detail)
            return
        self._failed("connect", reason, detail)

    def _send(self, conn: "Outward", now: float) -> None:
        block = self.hub.head
        block.clear()
        try:
            self.way.write_request_head(block, self, conn)
        except CodecError as error:
            conn.release_unused(now)
            self.answer_own(OwnAnswer("bad-request", error.reason, error.status))
            return
        self.conn = conn
        conn.exchange = self
        self.state = SENT
        self.sent_any = True
        head = self.head
        conn.parser.expect(head.method, head.upgrade is not None and upgrade_of(head) is not None)
        length = head.length
        if length > 0:
            block.put(b"content-length: ")
            block.put_number(length)
            block.put(b"\r\n\r\n")
        elif length == CHUNKED:
            block.put(b"transfer-encoding: chunked\r\n\r\n")
        elif head.method in _WITH_BODY or head.headers.known(CONTENT_LENGTH) is not None:
            block.put(b"content-length: 0\r\n\r\n")
        else:
            block.put(b"\r\n")
        if self.kept_body:
            body = b"".join(self.kept_body)
            block.put(body if length > 0 else b"%x\r\n%b\r\n" % (len(body), body))
        if self.complete and length == CHUNKED:
            block.put(self._last_chunk())
        conn.write(block.take())
        if not self.complete:
            # A try is measured from the whole request on: until then the client's pace is no fault of the endpoint.
            self.try_at_s = _NEVER
            if conn.write_paused:
                self.client.hold_body()
            else:
                self.client.go_on_body()
        self._arm()

    def _last_chunk(self) -> bytes:
        return b"0\r\n%b\r\n" % self.trailer_block

    def _failed(self, kind: str, reason: str, detail: str) -> None:
        """This try has failed before there was an answer, or amid it: try again, or say so."""
        now = octets.now()
        upstream = self.live_upstream
        assert upstream is not None
        sent = self.sent_any
        self._verdict(now, True if upstream.is_fault(kind, 0) else None)
        conn, self.conn = self.conn, None
        if conn is not None:
            conn.abort()
        if self.begun:
            self._truncate(reason)
            return
        if self.answered:
            self._take_back()
        if self.client.transport is not None:
            delay_s = self._delay_s(Failure(kind, 0, sent, None), now)
            if delay_s is not None:
                self._try_after(delay_s, now)
                return
        if sent and self.head.method not in IDEMPOTENT:
            # It may have been executed, or not: nobody here can know.
            self.note = "unknown-outcome"
        self._own(reason, detail)

    def _delay_s(self, failure: Failure, now: float) -> "float | None":
        """In how many seconds there is another try after this failure; None: there is none."""
        upstream = self.live_upstream
        assert upstream is not None
        return self.retry.delay(
            self.attempts,
            failure,
            idempotent=self.head.method in IDEMPOTENT,
            replayable=self.replayable,
            left_s=self.total_at_s - now,
            budget=upstream.budget,
            random=self.hub.random,
            now=now,
        )

    def _try_after(self, delay_s: float, now: float) -> None:
        upstream = self.live_upstream
        assert upstream is not None
        upstream.lasting.retries += 1
        if self.last is not None:
            self.tried = [*self.tried, self.last]
        if delay_s <= 0.0:
            self._try(now)
        else:
            self.state = DELAYED
            self.try_at_s = _NEVER
            self._arm()
            self._later(delay_s, self._try_again)

    def _try_again(self) -> None:
        self.timer = None
        self._try(octets.now())

    def _verdict(self, now: float, failed: "bool | None") -> None:
        """End this try for its endpoint: failed, not failed, or (None) nobody can say."""
        endpoint = self.live_endpoint
        if endpoint is None:
            return
        self.live_endpoint = None
        endpoint.active -= 1
        if failed is None:
            endpoint.breaker.cancel(self.token, now)
        else:
            if failed:
                endpoint.failures += 1
            endpoint.breaker.end(self.token, not failed, now)

    # The request's body, from the client.

    def body(self, data: bytes) -> None:
        """A piece of the body."""
        self.bytes_in += len(data)
        self.last_s = octets.now()
        if self.replayable:
            self.kept_bytes += len(data)
            if self.kept_bytes > REPLAY_BYTES and (self.conn is not None or self.answered):
                self.replayable = False
                self.kept_body = None
            elif self.kept_body is None:
                self.kept_body = [data]
            else:
                self.kept_body.append(data)
        conn = self.conn
        if conn is None:
            if self.state == DONE:
                return
            # Nobody to send to yet: what is kept waits, and the rest stays with the client.
            if self.kept_bytes >= REPLAY_BYTES:
                self.client.hold_body()
            return
        if self.head.length == CHUNKED:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        conn.write(data)

    def body_end(self, end: "End") -> None:
        """The request is complete."""
        self.complete = True
        if self.state == SENT and self.timeouts.try_s:
            self.try_at_s = octets.now() + self.timeouts.try_s
            self._arm()
        if self.head.length != CHUNKED:
            return
        if len(end.trailers):
            self.trailer_block = encode_fields(trailer_fields(end.trailers))
        if self.conn is not None:
            self.conn.write(self._last_chunk())

    def body_broken(self, error: "CodecError") -> None:
        """What the client sends is no body, or ends in the middle."""
        now = octets.now()
        self._drop(now, None)
        if self.begun:
            self._truncate("bad-request")
            return
        self.answer_own(OwnAnswer("bad-request", error.reason, error.status))

    def hold_body(self) -> None:
        """The endpoint takes no more for now."""
        if not self.complete:
            self.client.hold_body()

    def go_on_body(self) -> None:
        """It takes more."""
        if not self.complete:
            self.client.go_on_body()

    # The answer, from the endpoint.

    def answer_head(self, conn: "Outward", head: "ResponseHead") -> None:
        """The head of an answer, or of one that comes before it."""
        status = head.status
        if head.informational:
            self.informational += 1
            if self.informational > _MOST_INFORMATIONAL:
                self._failed("reset", "upstream-protocol", "cannot take so many interim answers")
            elif self.head.minor == 1:
                block = self.hub.head
                block.clear()
                block.put(_status_line(status, head.reason))
                self.way.write_answer_head(block, self, head)
                block.put(b"\r\n")
                self.client.write(block.take())
            return
        now = octets.now()
        upstream = self.live_upstream
        assert upstream is not None
        if status >= _LEAST_RETRIED and self.retry.is_failure(status):
            wait_s = _retry_after(head.headers.get(b"retry-after"))
            delay_s = self._delay_s(Failure("status", status, True, wait_s), now)
            if delay_s is not None:
                self._verdict(now, upstream.is_fault("status", status))
                self.conn = None
                conn.abort()
                self._try_after(delay_s, now)
                return
        self._pass_on(conn, head, now)

    def _pass_on(self, conn: "Outward", head: "ResponseHead", now: float) -> None:
        request = self.head
        status = head.status
        out = self._gathering()
        out.put(_status_line(status, head.reason))
        self.way.write_answer_head(out, self, head)
        self.status = status
        self.first_s = now - self.began_s
        self.last_s = now
        self.try_at_s = self.total_at_s = _NEVER
        self.answered = True
        self.state = ANSWERING
        self._arm()
        if head.tunnel:
            self._upgrade(conn)
            return
        client = self.client
        close = (
            not request.keep_alive or not self.complete or self.hub.closing_answers or client.eof
        )
        length = head.length
        stated = head.headers.known(CONTENT_LENGTH)
        headless = request.method == "HEAD" or status == 304
        if status == 204:
            pass
        elif stated is not None and (headless or length >= 0):
            out.put(b"content-length: ")
            out.put(stated)
            out.put(b"\r\n")
        elif headless:
            pass
        elif length >= 0:
            out.put(b"content-length: ")
            out.put_number(length)
            out.put(b"\r\n")
        elif request.minor == 1:
            self.chunked = True
            out.put(b"transfer-encoding: chunked\r\n")
        else:
            close = True
        self.close_after = close
        self.reusable = head.keep_alive
        if close:
            out.put(b"connection: close\r\n")
        elif request.minor == 0:
            out.put(b"connection: keep-alive\r\n")
        out.put(b"\r\n")
        if client.write_paused:
            conn.pause_reading()

    def answer_data(self, data: bytes) -> None:
        """A piece of the answer's body."""
        size = len(data)
        self.bytes_out += size
        if size > _WHOLE_BYTES:
            self._send_whole(data)
            return
        out = self._gathering()
        if self.chunked:
            out.put(b"%x\r\n" % size)
            out.put(data)
            out.put(b"\r\n")
        else:
            out.put(data)

    def _send_whole(self, data: bytes) -> None:
        """Send a large piece of the answer's body as it is, behind what has been gathered."""
        now = octets.now()
        parts = []
        if self.out is not None:
            parts.append(self.out.take())
            self._gathered()
        if self.chunked:
            parts += (b"%x\r\n" % len(data), data, b"\r\n")
        else:
            parts.append(data)
        self._begins(now)
        transport = self.client.transport
        if transport is None:
            return
        if transport.can_write_eof():
            transport.writelines(parts)
        else:
            write_sealed(transport, parts)

    def answer_end(self, end: "End") -> None:
        """The answer is complete."""
        if self.chunked:
            out = self._gathering()
            if len(end.trailers):
                out.put(b"0\r\n%b\r\n" % encode_fields(trailer_fields(end.trailers)))
            else:
                out.put(b"0\r\n\r\n")
        now = octets.now()
        self._flush(now)
        conn = self.conn
        self.conn = None
        upstream = self.live_upstream
        assert upstream is not None
        self._verdict(now, upstream.is_fault("status", self.status))
        if conn is not None:
            # An answer before the end of the request: the rest would stand before the next one.
            keep = self.reusable and self.complete and upstream.proxy_protocol == "off"
            conn.release(now, keep)
        self._finish(now, not self.close_after and self.complete)

    def flush(self) -> None:
        """Send what has been gathered of the answer."""
        if self.out is not None:
            self._flush(octets.now())

    def _flush(self, now: float) -> None:
        out = self.out
        if out is None:
            return
        data = out.take()
        self._gathered()
        self._begins(now)
        transport = self.client.transport
        if transport is None:
            return
        if len(data) <= SEALED_BYTES or transport.can_write_eof():
            transport.write(data)
        else:
            write_sealed(transport, [data])

    def _gathering(self) -> "Block":
        """Where the answer is gathered."""
        if self.out is None:
            self.out = self.hub.borrow()
        return self.out

    def _gathered(self) -> None:
        """Give back where it was."""
        out, self.out = self.out, None
        if out is not None:
            self.hub.give_back(out)

    def _begins(self, now: float) -> None:
        """A byte of the answer goes to the client."""
        self.last_s = now
        if not self.begun:
            self.begun = True
            self.replayable = False
            self.kept_body = None

    def _take_back(self) -> None:
        """The answer was broken before anything of it was sent: there is none."""
        self.answered = self.chunked = False
        self._gathered()
        self.bytes_out = self.status = 0
        self.first_s = -1.0

    def hold_answer(self) -> None:
        """The client takes no more for now."""
        if self.conn is not None:
            self.conn.pause_reading()

    def go_on_answer(self) -> None:
        """It takes more."""
        self.last_s = octets.now()
        if self.conn is not None:
            self.conn.resume_reading()

    def lost(self, conn: "Outward", error: "Exception | None") -> None:
        """The connection has ended before the answer has."""
        if self.conn is not conn:
            return
        why = "closed" if error is None else str(error) or type(error).__name__
        self._failed(
            "reset", "upstream-reset", f"the connection to {conn.endpoint.key} was lost: {why}"
        )

    def broken(self, conn: "Outward", error: "CodecError") -> None:
        """What the endpoint sends is no answer."""
        if self.conn is not conn:
            return
        reason = "upstream-reset" if conn.eof else "upstream-protocol"
        self._failed(
            "reset", reason, f"cannot read the answer of {conn.endpoint.key}: {error.reason}"
        )

    def _upgrade(self, conn: "Outward") -> None:
        client = self.client
        out = self._gathering()
        out.put(b"\r\n")
        data = out.take()
        self._gathered()
        client.write(data)
        self._verdict(octets.now(), False)
        client.parser.tunnel()
        first_down, first_up = conn.parser.take_rest(), client.parser.take_rest()
        self.conn = None
        self.become_tunnel(conn.endpoint, conn.detach(), first_down, first_up)

    def opens_tunnel(self) -> None:
        """A CONNECT: whoever opens the tunnel moves it on from here."""
        self.state = TUNNEL

    def become_tunnel(
        self,
        endpoint: "Endpoint",
        transport: "asyncio.Transport | None",
        first_down: bytes,
        first_up: bytes,
    ) -> None:
        """Bytes both ways from now on; `tunnel_ended` is called when it is over."""
        self.state = TUNNEL
        # A tunnel is in flight for as long as it stands.
        self.held = endpoint
        endpoint.active += 1
        self.deadline_s = self.total_at_s = self.try_at_s = _NEVER
        self.hub.tunnel(self, transport, first_down, first_up)

    def tunnel_ended(self, up: int, down: int, why: str) -> None:
        """The tunnel is over: `up` and `down` bytes went through it."""
        self.bytes_in += up
        self.bytes_out += down
        if why not in ("eof", ""):
            self.note = why
        self.client.exchange = None
        self._told(octets.now())

    def tunnel_failed(self) -> None:
        """The client has left while its tunnel was opened."""
        self.note = self.note or "client-left"
        self.client.exchange = None
        self._told(octets.now())

    # The ends.

    def client_left(self) -> None:
        """The client's connection is gone."""
        if self.state in (DONE, TUNNEL):
            return
        now = octets.now()
        upstream = self.live_upstream
        if self.answered and upstream is not None:
            self._drop(now, upstream.is_fault("status", self.status))
        else:
            self._drop(now, None)
        self.note = self.note or "client-left"
        self._told(now)

    def _drop(self, now: float, failed: "bool | None") -> None:
        """Give up what is under way for it."""
        conn, self.conn = self.conn, None
        if conn is not None:
            conn.abort()
        self._verdict(now, failed)

    def expire(self, now: float) -> None:
        """Its deadline has passed."""
        upstream = self.live_upstream
        name = upstream.name if upstream is not None else ""
        if now >= self.total_at_s:
            self._timed_out(
                now, "total-timeout", f"cannot wait longer for {name}: the total time is over"
            )
        elif self.state == QUEUED and now >= self.try_at_s:
            if upstream is not None:
                upstream.lasting.rejected += 1
            what = "a place at" if self.asked is None else "a connection to"
            self._own("queue-timeout", f"cannot wait longer for {what} {name}")
        elif now >= self.try_at_s:
            self._failed(
                "timeout",
                "try-timeout" if self.state == SENT else "connect-timeout",
                f"no answer from {name} in time",
            )
        elif self.state == ANSWERING or not self.complete:
            idle_s = self.timeouts.idle_s
            held = self.client.write_paused
            if idle_s and not held and now - self.last_s >= idle_s:
                self._timed_out(now, "idle-timeout", f"nothing came for {idle_s:g} s")
                return
            self._arm()
        else:
            self._arm()

    def _timed_out(self, now: float, reason: str, detail: str) -> None:
        if self.sent_any and not self.answered and self.head.method not in IDEMPOTENT:
            self.note = "unknown-outcome"
        upstream = self.live_upstream
        fault = (
            upstream is not None
            and self.live_endpoint is not None
            and upstream.is_fault("timeout", 0)
        )
        waits_for_client = (
            not self.complete and not self.client.body_held and reason == "idle-timeout"
        )
        pending = not self.complete and not self.client.body_held
        self._drop(now, True if fault and not pending else None)
        if self.begun:
            self._truncate(reason)
        elif waits_for_client:
            self.answer_own(
                OwnAnswer("bad-request", "cannot wait longer for the request's body", 408)
            )
        else:
            self._own(reason, detail)

    def _truncate(self, reason: str) -> None:
        """The client has a part of an answer: it must see that there is no more."""
        self.reason = reason
        self.note = "truncated"
        self._gathered()
        client = self.client
        client.exchange = None
        client.abort()
        self._told(octets.now())

    def _own(self, reason: str, detail: str) -> None:
        self.answer_own(OwnAnswer(reason, detail))

    def answer_own(self, answer: OwnAnswer) -> None:
        """Answer it ourselves."""
        now = octets.now()
        self.reason = answer.reason
        self.status = answer.code
        self.first_s = now - self.began_s
        self._drop(now, None)
        close = (
            not self.head.keep_alive
            or not self.complete
            or self.hub.closing_answers
            or self.client.eof
            or self.head.method == "CONNECT"
        )
        data = encode(answer, self.head.method, self.hub.date_line, close=close)
        if not close and self.head.minor == 0:
            data = data.replace(b"\r\n\r\n", b"\r\nconnection: keep-alive\r\n\r\n", 1)
        if answer.body is not None:
            self.bytes_out = len(answer.body)
        self.client.write(data)
        self._finish(now, not close)

    def _finish(self, now: float, keep: bool) -> None:
        client = self.client
        self._told(now)
        if client.exchange is self:
            client.done(keep)

    def _told(self, now: float) -> None:
        """It is over: give back what it has, and tell of it."""
        if self.state == DONE:
            return
        self.state = DONE
        self.deadline_s = _NEVER
        if self.held is not None:
            self.held.active -= 1
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self._waits_no_more()
        self._gathered()
        self._write_down(now)
        self.hub.ended(self)

    def _write_down(self, now: float) -> None:
        """Fill in what `Facts` says and the way of the request does not need."""
        way = self.way
        head = self.head
        trace = self.trace
        self.direction = way.direction
        self.listener = way.listener
        self.time_ns = self.hub.wall_ns(self.began_s)
        if self.live_route is not None:
            self.route = self.live_route.name
        if self.live_upstream is not None:
            self.upstream = self.live_upstream.name
        if self.last is not None:
            self.endpoint = self.last.key
        self.method = head.method
        if not head.minor:
            self.version = "1.0"
        self.total_s = now - self.began_s
        self.peer = self.client.peer_text
        if trace is not None:
            self.trace_id = trace.trace_id
            self.span_id = trace.span_id
            self.sampled = trace.sampled
            if trace.sampled:
                self.parent_id = trace.parent_id

    # Time.

    def _later(self, delay_s: float, callback: "Callable[..., None]", *arguments: object) -> None:
        self.timer = self.hub.loop.call_later(delay_s, callback, *arguments)

    def _arm(self) -> None:
        """Set the deadline to what is due next, and see that somebody looks."""
        due = self.total_at_s
        if self.try_at_s < due:
            due = self.try_at_s
        if self.state == ANSWERING or not self.complete:
            idle_s = self.timeouts.idle_s
            if idle_s and self.last_s + idle_s < due:
                due = max(self.last_s + idle_s, octets.now() + 0.05)
        self.deadline_s = due
        if due < self.hub.next_sweep_s:
            self.hub.sweep_at(due)


def _status_line(status: int, reason: bytes) -> bytes:
    """The status line without its end."""
    known = _status_lines.get(status)
    if known is not None and known[0] == reason:
        return known[1]
    line = b"HTTP/1.1 %d %b" % (status, reason)
    _status_lines[status] = (reason, line)  # one for each status, of which there are 500
    return line


def _retry_after(value: "bytes | None") -> "float | None":
    """Seconds (RFC 9110 section 10.2.3); of a date nothing is known here."""
    if value is None or not value.isdigit() or len(value) > 9:
        return None
    return float(value)
