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

from pillion.errors import PillionError

from .conditions import RESET
from .connector import Connector
from .facts import OUTBOUND, Facts
from .tcp_reach import EndpointUse, reach
from .transports import reset_on_close
from .tunnel import CUT, IDLE, Held, Relay, RelayEnd, Tunnels
from .tunnel import RESET as WAS_RESET

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.base.tasks import RootTasks

    from .concurrency import Gate, Ticket
    from .live import LiveUpstream
    from .peer import Peer

STANDS_S = 1.0
"""A connection that is not reset within this time is a success of its endpoint."""


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

    def accept(self, peer: "Peer") -> asyncio.Protocol:
        """Return the protocol of a connection: the `factory` of a Listener."""
        # The methods count, not the class: a compiled one cannot be derived from asyncio's.
        return cast("asyncio.Protocol", TcpConnection(self, peer))


class TcpConnection:
    """One client's connection, until the Relay takes it over; then its account."""

    __slots__ = (
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
        "_transport",
        "_upstream",
        "_use",
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
        self._use = EndpointUse()
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
        proxy.tunnels.expect(self)
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
        reached = await reach(
            upstream,
            self._peer,
            self._facts,
            self._use,
            connector=self._proxy.connector,
            random=self._proxy.random,
            began_s=self.began_s,
        )
        self._task = None
        if isinstance(reached, str):
            self.refuse(reached)
        else:
            self._join(*reached, upstream.timeouts.idle_s)

    # The tunnel.

    def _join(self, transport: asyncio.Transport, held: Held, idle_s: float) -> None:
        client = self._transport
        if client is None or self._over:
            transport.abort()
            return
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
        self._proxy.tunnels.met(self)

    def _stands(self) -> None:
        self._timer = None
        self._use.stands(monotonic())

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
        self._use.end(failed if known else None, monotonic())
        self._transport = None
        self._done()

    # The account.

    def refuse(self, reason: str) -> None:
        """Give the connection up before it has a tunnel: the client sees a reset."""
        self._facts.reason = reason
        self._done()

    def _done(self) -> None:
        if self._over:
            return
        self._over = True
        self._stop_timer()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        self._use.end(None, monotonic())
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
        self._proxy.tunnels.met(self)
        self._proxy.ended(facts)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
