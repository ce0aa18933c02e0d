"""Reaching an endpoint for a connection of raw TCP: picked, connected to, tried again elsewhere, and judged.

Nothing has been sent before a connection stands, so that every failure may be followed by another try.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING
from zlib import crc32

from pillion.http.codec import Headers

from .conditions import CONNECT
from .connector import ConnectFailed, Connector
from .fault import decide
from .retry import Failure
from .tunnel import Held

if TYPE_CHECKING:
    from random import Random

    from .endpoint import Endpoint
    from .facts import Facts
    from .live import LiveUpstream
    from .peer import Peer

_NEVER = 1e18
_NO_HEADERS = Headers([])
_LEAST_S = 0.001


class EndpointUse:
    """The part of one endpoint in a connection, and what its breaker is told of it; of one after the other."""

    __slots__ = ("_endpoint", "_judged", "_token")

    def __init__(self) -> None:
        self._endpoint: Endpoint | None = None
        self._token = 0
        self._judged = False

    def begin(self, endpoint: Endpoint, now: float) -> None:
        """It is tried."""
        self._endpoint = endpoint
        self._token = endpoint.breaker.begin(now)
        self._judged = False
        endpoint.active += 1
        endpoint.requests += 1

    def stands(self, now: float) -> None:
        """The connection has stood for long enough to be a success, whatever becomes of it."""
        if self._endpoint is not None and not self._judged:
            self._judged = True
            self._endpoint.breaker.end(self._token, True, now)

    def end(self, failed: bool | None, now: float) -> None:
        """Its part is over: failed, well, or (None) nobody can say. Once is enough, twice is harmless."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is None:
            return
        endpoint.active -= 1
        if failed:
            endpoint.failures += 1
        if self._judged:
            return
        if failed is None:
            endpoint.breaker.cancel(self._token, now)
        else:
            endpoint.breaker.end(self._token, not failed, now)


async def reach(
    upstream: LiveUpstream,
    peer: Peer,
    facts: Facts,
    use: EndpointUse,
    *,
    connector: Connector,
    random: Random,
    began_s: float,
) -> tuple[asyncio.Transport, Held] | str:
    """Connect to an endpoint of `upstream`, which `use` then has; or return the reason why there is none.

    `facts` are told of endpoint, attempts and `connect_s`. The total time counts from `began_s`, of a monotonic clock. Who cancels
    this ends the `use`.
    """
    timeouts = upstream.timeouts
    until_s = began_s + timeouts.total_s if timeouts.total_s else _NEVER
    key = crc32(peer.address.encode()) if upstream.hash_kind == "address" else None
    tried: list[Endpoint] = []
    reason = ""
    upstream.lasting.requests += 1
    upstream.budget.request(began_s)
    if upstream.fault is not None:
        delay_s, abort = decide(upstream.fault, _NO_HEADERS, random)
        await asyncio.sleep(delay_s)
        if abort:
            return "fault-injected"
    now = monotonic()
    while True:
        endpoint = upstream.group.pick(now, key, tried)
        if endpoint is None:
            return reason or upstream.nowhere(now).reason
        tried.append(endpoint)
        facts.attempts += 1
        facts.endpoint = endpoint.key
        use.begin(endpoint, now)
        left_s = until_s - now
        timeout_s = min(timeouts.connect_s or left_s, left_s)
        try:
            reached = await connector.connect(
                endpoint.spec,
                Held,
                timeout_s=0.0 if timeout_s >= _NEVER / 2 else max(timeout_s, _LEAST_S),
                tls=upstream.tls,
                server_name=upstream.server_name,
                proxy_header=upstream.header_for(peer),
            )
        except ConnectFailed as error:
            reason = error.reason
            # What the breaker does not count as a failure is no success either.
            use.end(upstream.is_fault(CONNECT, 0) or None, monotonic())
        else:
            facts.connect_s = monotonic() - now
            return reached
        now = monotonic()
        again_s = upstream.retry.delay(
            facts.attempts,
            Failure(CONNECT, sent=False),
            idempotent=True,
            replayable=True,
            left_s=until_s - now,
            budget=upstream.budget,
            random=random,
            now=now,
        )
        if again_s is None:
            return reason
        upstream.lasting.retries += 1
        if again_s:
            await asyncio.sleep(again_s)
            now = monotonic()
