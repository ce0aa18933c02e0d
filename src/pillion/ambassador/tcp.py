# cython: annotation_typing=False, auto_pickle=False
"""Raw TCP to an upstream: a client's connection is given an endpoint's, with the policy that needs no look at the bytes.

    limits -> place (`limit.concurrency`) -> endpoint -> connect, tried again elsewhere -> tunnel -> Facts

Whatever fails before the tunnel is there resets the client's connection, so that it sees a failure and not an empty
answer. For the breaker an endpoint fails when it cannot be connected to, or resets a connection before it has
said anything; one that stands for a second is well. Of the timeouts, `connect` holds for one try, `total` for
all of them until the tunnel is there, `idle` for the tunnel; `try` means nothing here.
"""

import asyncio
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, cast
from zlib import crc32

from pillion.errors import PillionError
from pillion.http.codec import Headers

from .conditions import CONNECT, RESET
from .connector import ConnectFailed, Connector
from .facts import OUTBOUND, Facts
from .fault import decide
from .proxy_protocol import Addresses, encode_v1, encode_v2
from .retry import Failure
from .transports import reset_on_close
from .tunnel import CUT, IDLE, Held, Relay, RelayEnd, Tunnels
from .tunnel import RESET as WAS_RESET

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.base.tasks import RootTasks

    from .concurrency import Gate, Ticket
    from .endpoints import Endpoint
    from .live import LiveUpstream
    from .peer import Peer

STANDS_S = 1.0
"""A connection that is not reset within this time is a success of its endpoint."""

_NEVER = 1e18
_NO_HEADERS = Headers([])


class TcpProxy:
    """The raw TCP of one listener. `upstream` is the one of the present snapshot, for connections from now on; None: there is none.

    `ended` is given the Facts of each connection when it is over; `wall_ns` turns a moment of the monotonic clock into
    nanoseconds since the epoch.
    """

    __slots__ = (
        "connector",
        "ended",
        "listener",
        "random",
        "tasks",
        "tunnels",
        "upstream",
        "waiting",
        "wall_ns",
    )

    def __init__(
        self,
        listener: str,
        upstream: "LiveUpstream | None",
        *,
        connector: Connector,
        tunnels: Tunnels,
        tasks: "RootTasks",
        random: Random,
        ended: "Callable[[Facts], None]",
        wall_ns: "Callable[[float], int]",
    ) -> None:
        self.listener = listener
        self.upstream = upstream
        self.connector = connector
        self.tunnels = tunnels
        self.tasks = tasks
        self.random = random
        self.ended = ended
        self.wall_ns = wall_ns
        self.waiting: dict[TcpConnection, None] = {}
        """Those that have no tunnel yet; the others are in `tunnels`."""

    def accept(self, peer: "Peer") -> asyncio.Protocol:
        """Return the protocol of a connection: the `factory` of a Listener."""
        # The methods count, not the class: a compiled one cannot be derived from asyncio's.
        return cast("asyncio.Protocol", TcpConnection(self, peer))

    def abort(self) -> int:
        """Cut every connection that has no tunnel yet; return how many that were."""
        waiting = tuple(self.waiting)
        for one in waiting:
            one.refuse("draining")
        return len(waiting)


class TcpConnection:
    """One client's connection, until the Relay takes it over; then its account."""

    __slots__ = (
        "_endpoint",
        "_facts",
        "_finished",
        "_first",
        "_gate",
        "_over",
        "_peer",
        "_placed",
        "_proxy",
        "_task",
        "_ticket",
        "_timer",
        "_token",
        "_transport",
        "_upstream",
        "began_s",
    )

    def __init__(self, proxy: TcpProxy, peer: "Peer") -> None:
        self._proxy = proxy
        self._peer = peer
        self._transport: asyncio.Transport | None = None
        self._first = b""
        self._finished = False
        self._facts = Facts(OUTBOUND, proxy.listener)
        self._upstream: LiveUpstream | None = None
        self._gate: Gate | None = None
        self._ticket: Ticket | None = None
        self._placed = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._endpoint: Endpoint | None = None
        self._token = 0
        self._over = False
        self.began_s = 0.0

    # What the transport tells, before the tunnel.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self.began_s = now = monotonic()
        proxy = self._proxy
        facts = self._facts
        facts.time_ns = proxy.wall_ns(now)
        facts.version = "tcp"
        facts.peer = self._peer.address
        proxy.waiting[self] = None
        upstream = proxy.upstream
        if upstream is None:
            self.refuse("no-endpoint")
            return
        self._upstream = upstream
        facts.upstream = upstream.name
        self._ask_for_place(upstream, now)

    def data_received(self, data: bytes) -> None:
        """Keep the first bytes for the endpoint, and leave the rest in the kernel."""
        self._first += data
        if self._transport is not None:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The client sends nothing more, and waits for what comes."""
        self._finished = True
        return self._transport is not None and self._transport.can_write_eof()

    def pause_writing(self) -> None:
        """Nothing: nothing is written before the tunnel is there."""

    def resume_writing(self) -> None:
        """Nothing, likewise."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """The client is gone: nobody need be connected."""
        self._transport = None
        if not self._over:
            self._facts.note = "client-left"
            self._done()

    # Limits.

    def _ask_for_place(self, upstream: "LiveUpstream", now: float) -> None:
        if upstream.limit.wait_s(self._peer.address, now):
            upstream.lasting.rejected += 1
            self.refuse("rate-limited")
            return
        gate = self._gate = upstream.gate
        if gate is None:
            self._go()
        elif gate.enter():
            self._placed = True
            self._go()
        else:
            self._ticket = gate.wait(self._my_turn)
            if self._ticket is None:
                upstream.lasting.rejected += 1
                self.refuse("overloaded")
                return
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(upstream.queue_timeout_s, self._waited)

    def _my_turn(self) -> None:
        self._ticket = None
        self._placed = True
        self._stop_timer()
        self._go()

    def _waited(self) -> None:
        self._timer = None
        upstream = self._upstream
        assert upstream is not None
        upstream.lasting.rejected += 1
        self.refuse("queue-timeout")

    # Connecting.

    def _go(self) -> None:
        upstream = self._upstream
        assert upstream is not None
        try:
            self._task = self._proxy.tasks.start(
                f"connect {upstream.name}", self._connect(upstream), may_end=True
            )
        except PillionError:
            self.refuse("overloaded")

    async def _connect(self, upstream: "LiveUpstream") -> None:
        proxy = self._proxy
        facts = self._facts
        timeouts = upstream.timeouts
        until_s = self.began_s + timeouts.total_s if timeouts.total_s else _NEVER
        key = crc32(self._peer.address.encode()) if upstream.hash_kind == "address" else None
        tried: list[Endpoint] = []
        reason = ""
        upstream.lasting.requests += 1
        upstream.budget.request(self.began_s)
        fault = upstream.fault
        if fault is not None:
            delay_s, abort = decide(fault, _NO_HEADERS, proxy.random)
            await asyncio.sleep(delay_s)
            if abort:
                self._task = None
                self.refuse("fault-injected")
                return
        now = monotonic()
        while True:
            endpoint = upstream.group.pick(now, key, tried)
            if endpoint is None:
                reason = reason or _nowhere(upstream)
                break
            tried.append(endpoint)
            facts.attempts += 1
            facts.endpoint = endpoint.key
            self._begin(endpoint, now)
            left_s = until_s - now
            timeout_s = min(timeouts.connect_s or left_s, left_s)
            try:
                transport, held = await proxy.connector.connect(
                    endpoint.spec,
                    Held,
                    timeout_s=0.0 if timeout_s >= _NEVER / 2 else max(timeout_s, 0.001),
                    tls=upstream.tls,
                    server_name=upstream.server_name,
                    proxy_header=_proxy_header(upstream, self._peer),
                )
            except ConnectFailed as error:
                reason = error.reason
                self._verdict(failed=upstream.is_fault(CONNECT, 0))
            else:
                facts.connect_s = monotonic() - now
                self._join(transport, held, timeouts.idle_s)
                return
            now = monotonic()
            again_s = upstream.retry.delay(
                facts.attempts,
                Failure(CONNECT, sent=False),
                idempotent=True,
                replayable=True,
                left_s=until_s - now,
                budget=upstream.budget,
                random=proxy.random,
                now=now,
            )
            if again_s is None:
                break
            upstream.lasting.retries += 1
            if again_s:
                await asyncio.sleep(again_s)
                now = monotonic()
        self._task = None
        self.refuse(reason)

    # The tunnel.

    def _join(self, transport: asyncio.Transport, held: Held, idle_s: float) -> None:
        self._task = None
        client = self._transport
        if client is None or self._over:
            transport.abort()
            return
        self._proxy.waiting.pop(self, None)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(STANDS_S, self._stands)
        first, self._first = self._first, b""
        Relay(
            client,
            transport,
            first_a=first,
            first_b=held.first,
            finished_a=self._finished,
            finished_b=held.finished,
            idle_s=idle_s,
            ended=self._ended,
            tunnels=self._proxy.tunnels,
        )

    def _stands(self) -> None:
        self._timer = None
        endpoint = self._endpoint
        if endpoint is not None and self._token >= 0:
            endpoint.breaker.end(self._token, True, monotonic())
            self._token = -1

    def _ended(self, end: RelayEnd) -> None:
        facts = self._facts
        upstream = self._upstream
        assert upstream is not None
        facts.bytes_in = end.bytes_ab
        facts.bytes_out = end.bytes_ba
        if end.first_b_s >= 0.0:
            facts.first_s = end.first_b_s - self.began_s
        failed = False
        known = True
        if end.why == WAS_RESET:
            if end.side == "b":
                facts.reason = "upstream-reset"
                failed = not end.bytes_ba and upstream.is_fault(RESET, 0)
            else:
                facts.note = "client-left"
                known = end.bytes_ba > 0
        elif end.why == IDLE:
            facts.reason = "idle-timeout"
        elif end.why == CUT:
            facts.reason = "draining"
            facts.note = "truncated"
            known = end.bytes_ba > 0
        self._verdict(failed=failed if known else None)
        self._transport = None
        self._done()

    # The account.

    def _begin(self, endpoint: "Endpoint", now: float) -> None:
        self._endpoint = endpoint
        self._token = endpoint.breaker.begin(now)
        endpoint.active += 1
        endpoint.requests += 1

    def _verdict(self, *, failed: bool | None) -> None:
        """The endpoint's part is over: failed, well, or (None) nobody can say."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is None:
            return
        endpoint.active -= 1
        if failed:
            endpoint.failures += 1
        if self._token < 0:
            return
        if failed is None:
            endpoint.breaker.cancel(self._token, monotonic())
        else:
            endpoint.breaker.end(self._token, not failed, monotonic())

    def refuse(self, reason: str) -> None:
        """Give the connection up before it has a tunnel: the client sees a reset."""
        self._facts.reason = reason
        self._done()

    def _done(self) -> None:
        if self._over:
            return
        self._over = True
        self._proxy.waiting.pop(self, None)
        self._stop_timer()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        self._verdict(failed=None)
        transport, self._transport = self._transport, None
        if transport is not None:
            reset_on_close(transport)
            transport.abort()
        gate = self._gate
        if gate is not None:
            if self._ticket is not None:
                gate.cancel(self._ticket)
                self._ticket = None
            elif self._placed:
                self._placed = False
                gate.leave()
        facts = self._facts
        facts.total_s = monotonic() - self.began_s
        self._peer.left()
        self._proxy.ended(facts)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


def _nowhere(upstream: "LiveUpstream") -> str:
    if not upstream.group.endpoints:
        return "no-endpoint"
    upstream.lasting.rejected += 1
    return "circuit-open"


def _proxy_header(upstream: "LiveUpstream", peer: "Peer") -> bytes:
    """What is said of the client before its first byte, where the upstream wants it."""
    version = upstream.proxy_protocol
    if version == "off":
        return b""
    addresses = Addresses(peer.address, peer.port, peer.server_address, peer.server_port)
    return encode_v1(addresses) if version == "v1" else encode_v2(addresses)
