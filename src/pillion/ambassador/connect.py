"""CONNECT, and what lies outside: tunnels that the proxy opens, and upstreams that only a request names."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from time import monotonic
from typing import TYPE_CHECKING

from pillion.settings.upstreams import Upstream

from .answers import OwnAnswer
from .connector import LOOP_DETECTED, ConnectFailed
from .dial import dial
from .endpoints import EndpointGroup
from .live import Lasting, LiveUpstream
from .retry import Failure
from .snapshot import EndpointSpec
from .tunnel import Held

if TYPE_CHECKING:
    from collections.abc import Callable

    from .endpoint import Endpoint
    from .exchange import Exchange
    from .hub import Hub
    from .tls import TlsClient

OUTSIDE = "egress"
"""The name of all upstreams that only a request names, in log and metrics."""
_MOST_OUTSIDE = 512
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Tunneller:
    """Opens tunnels for the proxy, and keeps the last hosts that were asked for outside, each with breaker and connections."""

    def __init__(self, hub: Hub, make_tls: Callable[[], TlsClient]) -> None:
        self._hub = hub
        self._make_tls = make_tls
        self._outside: OrderedDict[tuple[str, int, bool], LiveUpstream] = OrderedDict()
        self._tls: TlsClient | None = None

    def outside(self, host: str, port: int, *, secure: bool) -> LiveUpstream:
        """The upstream that is `host:port` and nothing else, with the defaults of an upstream."""
        key = (host.lower(), port, secure)
        found = self._outside.get(key)
        if found is not None:
            self._outside.move_to_end(key)
            return found
        settings = Upstream()
        group = EndpointGroup(settings, "", self._hub.random, _nobody)
        spec = EndpointSpec(id=host, address=host, port=port, tls=secure, host=host)
        now = monotonic()
        group.update((spec,), settings, now)
        lasting = Lasting(group, settings.retry)
        lasting.configure(settings.limit, settings.retry, now)
        upstream = LiveUpstream(OUTSIDE, settings, lasting, self._client() if secure else None, "")
        upstream.tells_hops = False
        self._outside[key] = upstream
        if len(self._outside) > _MOST_OUTSIDE:
            self._forget()
        return upstream

    def open(self, exchange: Exchange) -> None:
        """Connect for a CONNECT; the exchange becomes a tunnel, or is answered why not."""
        exchange.opens_tunnel()
        self._hub.tasks.start("connect tunnel", self._open(exchange), may_end=True)

    async def _open(self, exchange: Exchange) -> None:
        upstream = exchange.live_upstream
        assert upstream is not None
        tried: list[Endpoint] = []
        upstream.lasting.requests += 1
        upstream.budget.request(monotonic())
        while True:
            now = monotonic()
            endpoint = upstream.group.pick(now, None, tried)
            if endpoint is None:
                why = upstream.nowhere(now)
                break
            tried.append(endpoint)
            exchange.last = endpoint
            exchange.attempts += 1
            endpoint.requests += 1
            token = endpoint.breaker.begin(now)
            try:
                transport, held = await dial(
                    self._hub.connector,
                    endpoint.spec,
                    Held,
                    timeout_s=upstream.timeouts.connect_s,
                    tls=None,
                    server_name="",
                    proxy_header=upstream.header_for(exchange.client.peer),
                )
            except ConnectFailed as error:
                why = OwnAnswer(error.reason, str(error))
                if error.reason == LOOP_DETECTED:
                    endpoint.breaker.cancel(token, monotonic())
                    break
                if not await self._again(exchange, upstream, endpoint, token):
                    break
            else:
                endpoint.breaker.end(token, True, monotonic())
                exchange.connect_s = monotonic() - now
                self._join(exchange, endpoint, transport, held)
                return
        if exchange.client.transport is None:
            exchange.tunnel_failed()
        else:
            exchange.answer_own(why)

    async def _again(
        self, exchange: Exchange, upstream: LiveUpstream, endpoint: Endpoint, token: int
    ) -> bool:
        """After a connect that failed: whether to try another, once its time has come."""
        now = monotonic()
        endpoint.failures += 1
        if upstream.is_fault("connect", 0):
            endpoint.breaker.end(token, False, now)
        else:
            endpoint.breaker.cancel(token, now)
        total_s = upstream.timeouts.total_s
        delay_s = exchange.retry.delay(
            exchange.attempts,
            Failure("connect", 0, sent=False),
            idempotent=True,
            replayable=exchange.client.transport is not None,
            left_s=exchange.began_s + total_s - now if total_s else math.inf,
            budget=upstream.budget,
            random=self._hub.random,
            now=now,
        )
        if delay_s is None:
            return False
        upstream.lasting.retries += 1
        await asyncio.sleep(delay_s)
        return True

    def _join(
        self, exchange: Exchange, endpoint: Endpoint, transport: asyncio.Transport, held: Held
    ) -> None:
        client = exchange.client
        if client.transport is None:
            transport.abort()
            exchange.tunnel_failed()
            return
        exchange.status = 200
        exchange.first_s = monotonic() - exchange.began_s
        client.write(_ESTABLISHED)
        client.parser.tunnel()
        exchange.become_tunnel(endpoint, transport, held.first, client.parser.take_rest())

    @property
    def tls(self) -> tuple[TlsClient, ...]:
        """The TLS that is in use for the world outside."""
        return () if self._tls is None else (self._tls,)

    def _client(self) -> TlsClient:
        if self._tls is None:
            self._tls = self._make_tls()
        return self._tls

    def _forget(self) -> None:
        """Forget the host that was asked for the longest time ago and is not in use."""
        for key, upstream in self._outside.items():
            (endpoint,) = upstream.group.endpoints
            if not endpoint.active:
                if endpoint.pool is not None:
                    endpoint.pool.close()
                del self._outside[key]
                return


def _nobody(endpoint: Endpoint, old: str, new: str, why: str) -> None:
    """Breakers outside are not told of: their names are the world's."""
