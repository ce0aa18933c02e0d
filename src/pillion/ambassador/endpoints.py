# cython: annotation_typing=False, auto_pickle=False
"""The endpoints of one upstream: who there is, who may be sent a request, and who gets the next one.

Passed over are: the unhealthy, unless there is nobody else ("panic": a check that is wrong about everybody must not
cause the outage that it was made against); those whose breaker does not admit, always; those of other zones while
our own has one, when the zone comes first; those tried before by the same request, while there is another.
"""

from typing import TYPE_CHECKING, Final

from .breaker import CLOSED, HALF_OPEN, Breaker
from .endpoint import Endpoint
from .tier import Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from random import Random

    from pillion.settings.upstreams import Upstream

    from .snapshot import EndpointSpec

__all__ = ["Endpoint", "EndpointGroup"]

_ROUNDING: Final = 1e-9
_LONG_AGO: Final = float("-inf")
_NEVER: Final = float("inf")
_NOBODY: "list[Endpoint]" = []


class EndpointGroup:
    """The endpoints of an upstream. `changed(endpoint, old, new, why)` hears of every change of a breaker.

    `endpoints` are all of them in the order told, `panic` is whether the unhealthy are used. Another `zone` counts from
    the next update on.
    """

    __slots__ = (
        "_away",
        "_by_key",
        "_changed",
        "_ejected",
        "_most",
        "_now",
        "_numbers",
        "_own",
        "_settings",
        "_specs",
        "_zone",
        "endpoints",
        "panic",
        "zone",
    )

    def __init__(
        self,
        settings: "Upstream",
        zone: str,
        random: "Random",
        changed: "Callable[[Endpoint, str, str, str], None]",
    ) -> None:
        self._settings = settings
        self.zone = zone
        self._zone = zone  # the one that the tiers were made for
        self._changed = changed
        self._by_key: dict[str, Endpoint] = {}
        self._own = Tier(random.random)
        self._away = Tier(random.random)
        self._ejected = 0  # endpoints whose breaker is not closed
        self._most = 1  # as many may be, by their own failures
        self._numbers = 0
        self._now = 0.0
        self._specs: tuple[EndpointSpec, ...] = ()
        self.endpoints: tuple[Endpoint, ...] = ()
        self.panic = False

    def update(
        self, specs: "Iterable[EndpointSpec]", settings: "Upstream", now: float
    ) -> "list[Endpoint]":
        """Take over endpoints and settings from a snapshot, and return the endpoints that are gone.

        An endpoint that stays (same address and port, same way of talking to it) keeps its breaker,
        counts and connections. Of two with one address the first counts.
        """
        self._now = now
        specs = tuple(specs)
        if specs == self._specs and self.zone == self._zone and settings == self._settings:
            return []
        self._specs = specs
        before = self._by_key
        first_time = not before
        same_breaker = settings.breaker == self._settings.breaker
        self._settings = settings
        after: dict[str, Endpoint] = {}
        gone: list[Endpoint] = []
        for spec in specs:
            key = spec.key
            if key in after:
                continue
            endpoint = before.get(key)
            if endpoint is not None and _talks_otherwise(endpoint.spec, spec):
                endpoint = None
            if endpoint is None:
                endpoint = self._make(spec, key, _LONG_AGO if first_time else now)
            else:
                if spec.healthy and not endpoint.spec.healthy:
                    endpoint.born_s = now
                endpoint.describe(spec)
            after[key] = endpoint
        for key, endpoint in before.items():
            if after.get(key) is not endpoint:
                endpoint.tier = None
                endpoint.breaker.owner = None
                gone.append(endpoint)
        self._by_key = after
        self.endpoints = tuple(after.values())
        if not same_breaker:
            for endpoint in self.endpoints:
                endpoint.breaker.configure(settings.breaker, now)
        self._most = max(1, int(settings.breaker.share * len(after) + _ROUNDING))
        self._ejected = sum(not endpoint.breaker.closed for endpoint in self.endpoints)
        self._arrange(now)
        return gone

    def pick(self, now: float, hash_key: int | None, tried: "list[Endpoint]") -> "Endpoint | None":
        """Choose the endpoint of a try; `tried` had the earlier tries of the same request. None: no breaker admits it.

        `hash_key` is for balance by hash; None there chooses as by least-request. A tried endpoint is
        chosen rather than none.
        """
        self._now = now
        endpoint = self._own.pick(now, hash_key, tried)
        if endpoint is None:
            endpoint = self._away.pick(now, hash_key, tried)
            if endpoint is None and tried:
                endpoint = self._own.pick(now, hash_key, _NOBODY)
                if endpoint is None:
                    endpoint = self._away.pick(now, hash_key, _NOBODY)
        return endpoint

    def retry_after(self, now: float) -> float:
        """In how many seconds a request may be admitted again; 0.0: now. The open time when nobody can say."""
        wait_s = min(self._own.retry_after(now), self._away.retry_after(now))
        return self._settings.breaker.open_s if wait_s == _NEVER else wait_s

    def find(self, key: str) -> "Endpoint | None":
        """The endpoint with this address and port."""
        return self._by_key.get(key)

    def _make(self, spec: "EndpointSpec", key: str, born_s: float) -> "Endpoint":
        breaker = Breaker(self._settings.breaker, self._permit, self._turned)
        self._numbers += 1
        endpoint = Endpoint(spec, key, breaker, born_s, self._numbers)
        breaker.owner = endpoint
        breaker.freed = self._freed
        return endpoint

    def _arrange(self, now: float) -> None:
        settings = self._settings
        self.panic = not any(
            endpoint.spec.healthy and endpoint.weight for endpoint in self.endpoints
        )
        near: list[Endpoint] = []
        far: list[Endpoint] = []
        self._zone = self.zone
        zone = self.zone if settings.zone_first else ""
        for endpoint in self.endpoints:
            (near if not zone or endpoint.spec.zone == zone else far).append(endpoint)
        self._own.empty()
        self._away.empty()
        for tier, members in ((self._own, near), (self._away, far)):
            tier.fill(members, self._takes_part, settings.balance, settings.slow_start_s, now)

    def _takes_part(self, endpoint: "Endpoint") -> bool:
        return endpoint.weight > 0 and (endpoint.spec.healthy or self.panic)

    # What breakers say.

    def _permit(self) -> bool:
        return self._ejected < self._most

    def _turned(self, breaker: Breaker, old: str, new: str, why: str) -> None:
        endpoint = breaker.owner
        if endpoint is None:
            return
        assert isinstance(endpoint, Endpoint)
        if old != new:
            if new == CLOSED:
                self._ejected -= 1
                endpoint.born_s = self._now
            elif old == CLOSED:
                self._ejected += 1
        self._settle(endpoint, old, new)
        self._changed(endpoint, old, new, why)

    def _freed(self, breaker: Breaker) -> None:
        endpoint = breaker.owner
        if endpoint is not None:
            assert isinstance(endpoint, Endpoint)
            self._settle(endpoint, "", "")

    def _settle(self, endpoint: "Endpoint", old: str, new: str) -> None:
        tier = endpoint.tier
        if tier is None or not self._takes_part(endpoint):
            return
        assert isinstance(tier, Tier)
        if old != new:
            tier.half_open += (new == HALF_OPEN) - (old == HALF_OPEN)
            if new == CLOSED:
                tier.warm(endpoint)
        tier.settle(endpoint)


def _talks_otherwise(old: "EndpointSpec", new: "EndpointSpec") -> bool:
    """Whether connections to `old` are none to `new`, although the address is the same."""
    return old.tls != new.tls or old.host != new.host
