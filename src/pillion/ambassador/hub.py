# cython: annotation_typing=False, auto_pickle=False
"""What all connections of a worker share: its limits and counters, its time, its sinks, and its end.

next_sweep_s   when the first exchange is due; nobody looks before
tick           the time of connections, in half seconds: it goes on while somebody waits, and who reads it begins to wait
"""

import asyncio
import time
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, cast

from pillion.errors import PillionError
from pillion.http.codec import Limits
from pillion.http.codec.block import Block

from .connector import CONNECT_FAILED, ConnectFailed, Connector
from .dial import dial
from .fault import decide
from .outward import Outward
from .trace import Ids, begin_as
from .tunnel import Relay, RelayEnd, Tunnels
from .wall import WallClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.base.tasks import RootTasks
    from pillion.http.codec.events import Headers
    from pillion.settings.ambassador import Trace as TraceSettings
    from pillion.settings.edges import HttpLimits
    from pillion.settings.policies import Fault

    from .endpoint import Endpoint
    from .exchange import Exchange
    from .facts import Facts
    from .inward import Inward
    from .live import LiveUpstream
    from .metrics import Red
    from .pool import Pool
    from .request_log import RequestLog
    from .spans import Spans
    from .trace import Trace
    from .ways import Way

_NEVER = 1e18
_TICK_S = 0.5
_NO_TICK = 1 << 40
_SWEPT_IN_A_ROW = 500
_LEAST_SWEEP_S = 0.02
_POOL_SWEEP_S = 1.0
_LINGER_S = 2.0


class Door:
    """One way in as connections know it: its `way` is another one after each change of policy."""

    __slots__ = ("name", "way")

    def __init__(self, name: str, way: "Way") -> None:
        self.name = name
        self.way = way


class Hub:
    """Make it inside the running loop. `log`, `red` and `spans` are set by whoever makes it before the first connection.

    `activity` is called when the first request after a report is over.
    """

    def __init__(
        self,
        tasks: "RootTasks",
        limits: "HttpLimits",
        trace: "TraceSettings",
        activity: "Callable[[], None]",
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.tasks = tasks
        self.activity = activity
        self.connector = Connector()
        self.tunnels = Tunnels()
        self.random = Random()
        self.log: RequestLog
        self.red: Red
        self.spans: Spans | None = None
        self.draining = False
        self.closing_answers = False
        """Whether answers carry Connection: close."""
        self.next_sweep_s = _NEVER
        self.timeouts = 0
        self.outward_open = 0
        self.requests = 0
        self.changed = asyncio.Event()
        self.head = Block()
        """For one head, made and taken within one call."""
        self._spare: Block | None = None
        self._ids = Ids()
        self._wall = WallClock()
        self._exchanges: dict[Exchange, None] = {}
        self._connections: dict[Inward, None] = {}
        self._pools: dict[Pool, None] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._ticks = 0
        self._ticked_s = 0.0
        self._asked = False
        self._asleep = True
        self._slept_most = 0
        self._nearest = _NO_TICK
        self._pool_sweeper: asyncio.TimerHandle | None = None
        self._date_s = 0
        self._date_line = b""
        self.configure(limits, trace)

    def configure(self, limits: "HttpLimits", trace: "TraceSettings") -> None:
        """Take other limits, for connections from now on; times for all."""
        self._traces = trace.enabled
        self._traced_share = trace.sample
        body_bytes = limits.body_bytes or 1 << 62
        self.request_limits = Limits(
            target_bytes=limits.target_bytes,
            header_bytes=limits.header_bytes,
            header_count=limits.header_count,
            body_bytes=body_bytes,
        )
        self.answer_limits = Limits(
            header_bytes=limits.header_bytes,
            header_count=limits.header_count,
            body_bytes=1 << 62,
        )
        self.header_ticks = _ticks(limits.header_timeout_s)
        self.idle_ticks = _ticks(limits.idle_timeout_s)
        self.write_ticks = _ticks(limits.write_timeout_s)
        self.linger_ticks = _ticks(_LINGER_S)

    # What exchanges need.

    def begin_trace(self, headers: "Headers") -> "Trace":
        """The trace context of a request."""
        return begin_as(headers, self._traces, self._traced_share, self._ids)

    def decide_fault(self, fault: "Fault", headers: "Headers") -> tuple[float, int]:
        """Whether a fault is injected: seconds to wait, and the status to answer (0: none)."""
        return decide(fault, headers, self.random)

    def borrow(self) -> Block:
        """A block with nothing in it, until it is given back."""
        block, self._spare = self._spare, None
        return Block() if block is None else block

    def give_back(self, block: Block) -> None:
        """It is of no more use to whoever has borrowed it; what is in it is lost."""
        block.clear()
        self._spare = block

    def wall_ns(self, at_s: float) -> int:
        """Nanoseconds since the epoch at a moment of the monotonic clock."""
        return self._wall.at(at_s)

    @property
    def date_line(self) -> bytes:
        """The Date field of our own answers (RFC 9110 section 6.6.1)."""
        now = int(time.time())
        if now != self._date_s:
            self._date_s = now
            self._date_line = time.strftime(
                "date: %a, %d %b %Y %H:%M:%S GMT\r\n", time.gmtime(now)
            ).encode()
        return self._date_line

    def connect(
        self, exchange: "Exchange", upstream: "LiveUpstream", endpoint: "Endpoint", pool: "Pool"
    ) -> None:
        """Make a connection for the present try of an exchange."""
        attempt = exchange.attempts
        pool.opening += 1
        try:
            self.tasks.start(
                f"connect {endpoint.key}",
                self._connect(exchange, attempt, upstream, endpoint, pool),
                may_end=True,
            )
        except PillionError as error:
            pool.opening -= 1
            exchange.not_connected(attempt, CONNECT_FAILED, str(error))

    async def _connect(
        self,
        exchange: "Exchange",
        attempt: int,
        upstream: "LiveUpstream",
        endpoint: "Endpoint",
        pool: "Pool",
    ) -> None:
        began_s = monotonic()
        timeouts = exchange.timeouts
        try:
            _, made = await dial(
                self.connector,
                endpoint.spec,
                # A compiled class cannot be derived from asyncio's, and need not: the methods count.
                lambda: cast("asyncio.Protocol", Outward(self, endpoint, pool)),
                timeout_s=timeouts.connect_s,
                tls=upstream.tls,
                server_name=upstream.server_name,
                proxy_header=upstream.header_for(exchange.client.peer),
            )
        except ConnectFailed as error:
            pool.opening -= 1
            exchange.not_connected(attempt, error.reason, str(error))
        else:
            # It counts as opened since it has its transport.
            pool.opening -= 1
            conn = cast("Outward", made)
            conn.connect_s = monotonic() - began_s
            exchange.connected(conn, attempt)
        pool.freed()

    def tunnel(
        self,
        exchange: "Exchange",
        transport: asyncio.Transport | None,
        first_down: bytes,
        first_up: bytes,
    ) -> None:
        """Join the client's connection with another; the exchange is told when it is over."""
        client = exchange.client
        finished = client.eof
        mine = client.detach()
        self._connections.pop(client, None)

        def ended(end: RelayEnd) -> None:
            client.peer.left()
            exchange.tunnel_ended(end.bytes_ab, end.bytes_ba, end.why)
            self.changed.set()

        if mine is None or transport is None:
            for one in (mine, transport):
                if one is not None:
                    one.abort()
            client.peer.left()
            exchange.tunnel_ended(0, 0, "reset")
            return
        Relay(
            mine,
            transport,
            first_a=first_up,
            first_b=first_down,
            finished_a=finished,
            idle_s=exchange.timeouts.idle_s,
            ended=ended,
            tunnels=self.tunnels,
        )

    # Exchanges: who is under way, and when the first of them is due.

    def began(self, exchange: "Exchange") -> None:
        """An exchange is under way."""
        self.requests += 1
        self._exchanges[exchange] = None

    def ended(self, exchange: "Exchange") -> None:
        """It is over: tell of it."""
        self._exchanges.pop(exchange, None)
        if not self.red.changed:
            self.activity()
        self.red.observe(exchange)
        self.log.write(exchange, exchange.head.headers)
        if exchange.sampled and self.spans is not None:
            self.spans.write(exchange)

    def told(self, facts: "Facts") -> None:
        """A connection of raw TCP is over."""
        if not self.red.changed:
            self.activity()
        self.red.observe(facts)
        self.log.write(facts, None)
        self.changed.set()  # a drain may wait for it

    def refused(self, client: "Inward", status: int, why: str) -> None:
        """A message was refused before it became an exchange."""
        facts = client.door.way.refused_facts(client, status, why)
        facts.time_ns = self.wall_ns(monotonic())
        self.told(facts)

    @property
    def active(self) -> int:
        """Exchanges under way."""
        return len(self._exchanges)

    def sweep_at(self, due_s: float) -> None:
        """Look at the exchanges then, or earlier."""
        now = monotonic()
        self.next_sweep_s = due_s
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._sweeper = self.loop.call_later(max(due_s - now, 0.001), self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        now = monotonic()
        self.next_sweep_s = _NEVER
        first = _NEVER
        due = []
        for exchange in self._exchanges:
            deadline_s = exchange.deadline_s
            if deadline_s <= now:
                due.append(exchange)
            elif deadline_s < first:
                first = deadline_s
        if first < self.next_sweep_s:
            self.sweep_at(max(first, now + _LEAST_SWEEP_S))
        self._expire(due)

    def _expire(self, due: "list[Exchange]") -> None:
        """End some, and let others run before the rest: no callback is long."""
        now = monotonic()
        for exchange in due[-_SWEPT_IN_A_ROW:]:
            if exchange.deadline_s <= now:
                exchange.expire(now)
        del due[-_SWEPT_IN_A_ROW:]
        if due:
            self.loop.call_soon(self._expire, due)

    # Connections of clients.

    def opened(self, client: "Inward") -> None:
        """Register a connection."""
        self._connections[client] = None

    def closed(self, client: "Inward") -> None:
        """Forget a connection."""
        self._connections.pop(client, None)
        client.peer.left()
        self.changed.set()

    def rested(self, client: "Inward") -> None:  # noqa: ARG002 - says which
        """A connection has become idle while we drain."""
        self.changed.set()

    @property
    def connections(self) -> "list[Inward]":
        """Those that are there."""
        return list(self._connections)

    @property
    def busy(self) -> bool:
        """Whether anybody is asking, answered, or in a tunnel."""
        return len(self.tunnels) > 0 or any(
            not client.idle and not client.silent for client in self._connections
        )

    def __len__(self) -> int:
        """How many connections of clients there are, tunnels included."""
        return len(self._connections) + len(self.tunnels)

    # The time of connections. It stands still while nobody waits; then the next timer is that of the first who has waited too long.

    @property
    def tick(self) -> int:
        """Half seconds, but none in which this process was stopped: who was not looked at has not been too slow.

        To be read by those whose time begins: somebody looks at them from then on.
        """
        return self.read_tick()

    def read_tick(self) -> int:
        """Return what `tick` is; compiled a call of C."""
        self._asked = True
        if self._asleep:
            self._wake()
        return self._ticks

    def _wake(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        now = monotonic()
        self._ticks += min(int((now - self._ticked_s) / _TICK_S), self._slept_most)
        self._ticked_s = now
        self._asleep = False
        self._ticker = self.loop.call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        self._ticker = None
        self._asked = False
        self._ticks += 1
        self._ticked_s = monotonic()
        self._nearest = _NO_TICK
        self._tick_some(list(self._connections))

    def _tick_some(self, clients: "list[Inward]") -> None:
        for client in clients[-_SWEPT_IN_A_ROW:]:
            client.sweep(self._ticks)
            self._nearest = min(self._nearest, self._due(client))
        del clients[-_SWEPT_IN_A_ROW:]
        if clients:
            self.loop.call_soon(self._tick_some, clients)
        else:
            self._rest()

    def _due(self, client: "Inward") -> int:
        """The first tick at which a client may have waited for too long, if nothing happens before."""
        if client.write_paused:
            return client.write_since + self.write_ticks + 1
        if client.exchange is not None or client.transport is None:
            return _NO_TICK
        if client.idle:
            return client.since + self.idle_ticks + 1
        return client.since + min(self.header_ticks, self.linger_ticks) + 1

    def _rest(self) -> None:
        """Look again at the next tick, or when the first is due, or not before somebody asks for the time."""
        if not self._connections:
            self._sleep(_NO_TICK)
        elif self._asked or self._nearest <= self._ticks + 1:
            self._ticker = self.loop.call_later(_TICK_S, self._tick)
        else:
            self._sleep(self._nearest - self._ticks - 1)

    def _sleep(self, ticks: int) -> None:
        self._asleep = True
        self._slept_most = ticks
        if ticks != _NO_TICK:
            # The last of them is an ordinary tick: what came while nobody looked is read before it.
            self._ticker = self.loop.call_later(ticks * _TICK_S, self._wake)

    # Connections to endpoints.

    def pool_kept(self, pool: "Pool") -> None:
        """A connection went into this pool: it is to be closed in time."""
        if pool not in self._pools:
            self._pools[pool] = None
        if self._pool_sweeper is None:
            self._pool_sweeper = self.loop.call_later(_POOL_SWEEP_S, self._sweep_pools)

    def _sweep_pools(self) -> None:
        self._pool_sweeper = None
        now = monotonic()
        for pool in list(self._pools):
            if not pool.sweep(now):
                del self._pools[pool]
        if self._pools:
            self._pool_sweeper = self.loop.call_later(_POOL_SWEEP_S, self._sweep_pools)

    # The end.

    def cut(self) -> int:
        """End what is left; return how many of them were busy."""
        cut = 0
        for client in list(self._connections):
            if client.resting:
                client.close()
            else:
                cut += 1
                client.abort()
        return cut + self.tunnels.abort()

    def close(self) -> None:
        """Stop every timer and drop every connection."""
        for timer in (self._sweeper, self._ticker, self._pool_sweeper):
            if timer is not None:
                timer.cancel()
        self._sweeper = self._ticker = self._pool_sweeper = None
        for client in list(self._connections):
            client.abort()
        for pool in list(self._pools):
            pool.close()


def _ticks(seconds: float) -> int:
    return int(seconds / _TICK_S) + 1
