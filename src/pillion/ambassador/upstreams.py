"""All upstreams of a worker, from snapshot to snapshot: prepared beside those in force, put in force in one turn, tidied up after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from .arrangement import Arrangement
from .concurrency import Gate
from .endpoints import EndpointGroup
from .live import Lasting, LiveUpstream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from pillion.settings.upstreams import Upstream as UpstreamSettings

    from .endpoint import Endpoint
    from .snapshot import UpstreamEndpoints
    from .tls import TlsClient

IN_A_ROW = 50
"""Upstreams, or pools, that are looked at in one turn."""

Wanted = tuple["UpstreamSettings", "UpstreamEndpoints", "TlsClient | None", str]
"""Of one upstream: settings, endpoints, TLS and our own zone."""


class _Planned(msgspec.Struct):
    """What changes with the next policy. `configured` are upstreams with other limits or retries, `pooled` those with other pools."""

    told: dict[str, Wanted]
    lasting: dict[str, Lasting]
    live: dict[str, LiveUpstream]
    arranged: list[tuple[Lasting, Arrangement]]
    configured: list[tuple[Lasting, UpstreamSettings]]
    pooled: list[LiveUpstream]
    gone: list[Lasting]


class Upstreams:
    """`changed` is told of breakers: upstream, endpoint, old and new state, why. `live` are those in force.

    Run `steps` to its end, then call `put`, then run `rest`; or call `steps` again, which forgets what was planned.
    """

    def __init__(self, changed: Callable[[str, str, str, str, str], None], random: Random) -> None:
        self._changed = changed
        self._random = random
        self._told: dict[str, Wanted] = {}
        self._lasting: dict[str, Lasting] = {}
        self._planned: _Planned | None = None
        self.live: dict[str, LiveUpstream] = {}

    @property
    def planned(self) -> dict[str, LiveUpstream]:
        """What `put` will make `live`; what did not change is the same object."""
        assert self._planned is not None
        return self._planned.live

    @property
    def made(self) -> int:
        """How many endpoints are new with what was put last, until `rest`."""
        plan = self._planned
        return 0 if plan is None else sum(len(one.new) for _, one in plan.arranged)

    def steps(self, wanted: dict[str, Wanted], now: float) -> Iterator[None]:
        """Prepare that these upstreams, and no others, are there; nothing that a request sees is touched."""
        plan = self._planned = _Planned(wanted, {}, {}, [], [], [], [])
        for at, (name, told) in enumerate(wanted.items(), 1):
            if at % IN_A_ROW == 0:
                yield
            yield from self._plan(plan, name, told, now)
        plan.gone = [self._lasting[name] for name in self._lasting.keys() - wanted.keys()]

    def _plan(self, plan: _Planned, name: str, told: Wanted, now: float) -> Iterator[None]:
        settings, found, tls, zone = told
        lasting = self._lasting.get(name)
        if lasting is None:
            lasting = self._make(name, settings, zone)
            lasting.configure(settings.limit, settings.retry, now)
        plan.lasting[name] = lasting
        before = self._told.get(name)
        if (
            before is None
            or before[1] is not found
            or before[0] is not settings
            or before[3] != zone
        ):
            arranged = Arrangement(lasting.group, found.endpoints, settings, zone)
            yield from arranged.steps()
            plan.arranged.append((lasting, arranged))
        elif before[2] is tls:
            plan.live[name] = self.live[name]
            return
        if settings.limit.concurrency and lasting.gate is None:
            # Nobody goes by it before the new settings are in force.
            lasting.gate = Gate(settings.limit.concurrency, settings.limit.queue)
        live = plan.live[name] = LiveUpstream(name, settings, lasting, tls, found.reason)
        if before is not None and before[0] is not settings:
            plan.configured.append((lasting, settings))
            plan.pooled.append(live)

    def put(self, now: float) -> None:
        """What was prepared is in force, from the next request on."""
        plan = self._planned
        assert plan is not None
        for lasting, arranged in plan.arranged:
            lasting.group.take(arranged)
        for lasting, settings in plan.configured:
            lasting.configure(settings.limit, settings.retry, now)
        self._told, self._lasting, self.live = plan.told, plan.lasting, plan.live

    def rest(self, now: float) -> Iterator[None]:
        """What can wait: endpoints take their places before the first request asks them to, and connections to those that are gone end."""
        plan, self._planned = self._planned, None
        if plan is None:
            return
        for lasting, arranged in plan.arranged:
            yield
            lasting.group.settle(now)
            yield from _let_go(arranged.gone)
            yield from arranged.let_go()
        for lasting in plan.gone:
            yield from _let_go(list(lasting.group.endpoints))
        for live in plan.pooled:
            for at, endpoint in enumerate(live.group.endpoints):
                if at % IN_A_ROW == 0:
                    yield
                if endpoint.pool is not None:
                    endpoint.pool.configure(
                        live.idle_s,
                        live.idle_connections,
                        live.requests_each,
                        live.most_connections,
                    )

    def _make(self, name: str, settings: UpstreamSettings, zone: str) -> Lasting:
        def changed(endpoint: Endpoint, old: str, new: str, why: str) -> None:
            self._changed(name, endpoint.key, old, new, why)

        return Lasting(EndpointGroup(settings, zone, self._random, changed), settings.retry)


def _let_go(gone: list[Endpoint]) -> Iterator[None]:
    """End the connections to these endpoints; a little at a time, for to free thousands of objects takes a while, too."""
    while gone:
        endpoint = gone.pop()
        if endpoint.pool is not None:
            endpoint.pool.close()
            yield
        elif len(gone) % IN_A_ROW == 0:
            yield
