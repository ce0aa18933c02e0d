# cython: annotation_typing=False, auto_pickle=False
"""The endpoints of one upstream: who there is, who may be sent a request, and who gets the next one.

Passed over are: the unhealthy, unless there is nobody else ("panic": a check that is wrong about everybody must not
cause the outage that it was made against); those whose breaker does not admit, always; those of other zones while
our own has one, when the zone comes first; those tried before by the same request, while there is another.
"""

from typing import TYPE_CHECKING, Final

from .arrangement import Arrangement
from .breaker import CLOSED, HALF_OPEN, Breaker
from .endpoint import Endpoint
from .tier import Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from random import Random

    from pillion.settings.upstreams import Upstream

    from .balance import Ring
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
        "_arranged",
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
        self._arranged: Arrangement | None = (
            None  # taken, and its endpoints not yet in their places
        )
        self._numbers = 0
        self._now = 0.0
        self._specs: tuple[EndpointSpec, ...] = ()
        self.endpoints: tuple[Endpoint, ...] = ()
        self.panic = False

    def update(
        self, specs: "Iterable[EndpointSpec]", settings: "Upstream", now: float
    ) -> "list[Endpoint]":
        """Take over endpoints and settings from a snapshot at once, and return the endpoints that are gone.

        An endpoint that stays (same address and port, same way of talking to it) keeps its breaker,
        counts and connections. Of two with one address the first counts.
        """
        specs = tuple(specs)
        if self.goes_by(specs, settings):
            self._now = now
            return []
        arranged = Arrangement(self, specs, settings, self.zone)
        for _ in arranged.steps():
            pass
        self.take(arranged)
        self.settle(now)
        return arranged.gone

    def goes_by(self, specs: "tuple[EndpointSpec, ...]", settings: "Upstream") -> bool:
        """Whether these are what it has, so that there is nothing to arrange."""
        # The same ones before equal ones: thousands need not be compared.
        return (
            (specs is self._specs or specs == self._specs)
            and self.zone == self._zone
            and (settings is self._settings or settings == self._settings)
        )

    def take(self, arranged: "Arrangement") -> None:
        """Go by what was arranged, from the next request on. Where each endpoint stands is seen to by `settle`, or by that request."""
        self.settle(self._now)
        self._arranged = arranged
        self._specs = arranged.specs
        self.zone = self._zone = arranged.zone
        self._by_key = arranged.by_key
        self.endpoints = arranged.endpoints

    def settle(self, now: float) -> None:
        """Give each endpoint of the last arrangement its place; nothing when that is done."""
        arranged = self._arranged
        if arranged is None:
            return
        self._arranged = None
        self._now = now
        settings = arranged.settings
        same_breaker = arranged.same_breaker
        self._settings = settings
        for endpoint, spec in arranged.changed:
            if spec.healthy and not endpoint.spec.healthy:
                endpoint.born_s = now
            endpoint.describe(spec)
        born_s = _LONG_AGO if arranged.first else now
        for endpoint in arranged.new:
            endpoint.born_s = born_s
        for endpoint in arranged.gone:
            endpoint.tier = None
            endpoint.breaker.owner = None
        if not same_breaker:
            for endpoint in arranged.endpoints:
                endpoint.breaker.configure(settings.breaker, now)
        self.panic = arranged.panic
        self._most = max(1, int(settings.breaker.share * len(arranged.endpoints) + _ROUNDING))
        ejected = 0
        for endpoint in arranged.endpoints:
            ejected += not endpoint.breaker.closed
        self._ejected = ejected
        arranged.leave(self._own.empty() + self._away.empty())
        for tier, side in ((self._own, arranged.near), (self._away, arranged.far)):
            tier.fill(
                side.members,
                side.taken,
                settings.balance,
                settings.slow_start_s,
                side.shares,
                side.ring,
                now,
            )

    def in_use(self) -> "dict[str, Endpoint]":
        """The endpoints by their keys; not to be changed."""
        return self._by_key

    def same_breaker(self, settings: "Upstream") -> bool:
        """Whether breakers go on as they are under these settings."""
        return (
            settings.breaker is self._settings.breaker or settings.breaker == self._settings.breaker
        )

    def ring_of(self, signature: "list[tuple[str, int]]", *, own: bool) -> "Ring | None":
        """The ring in use on this side of the zone, if it is that of these keys and weights."""
        return (self._own if own else self._away).ring_of(signature)

    def pick(self, now: float, hash_key: int | None, tried: "list[Endpoint]") -> "Endpoint | None":
        """Choose the endpoint of a try; `tried` had the earlier tries of the same request. None: no breaker admits it.

        `hash_key` is for balance by hash; None there chooses as by least-request. A tried endpoint is
        chosen rather than none.
        """
        if self._arranged is not None:
            self.settle(now)
        self._now = now
        endpoint = self._own.pick(now, hash_key, tried)
        if endpoint is None:
            endpoint = self._away.pick(now, hash_key, tried)
            if endpoint is None and tried:
                endpoint = self._own.pick(now, hash_key, _NOBODY)
                if endpoint is None:
                    endpoint = self._away.pick(now, hash_key, _NOBODY)
        return endpoint

    def still(self, endpoint: "Endpoint", now: float) -> bool:
        """Whether a request that has waited for this endpoint may go to it: it takes part, and its breaker admits."""
        if self._arranged is not None:
            self.settle(now)
        self._now = now
        tier = endpoint.tier
        return isinstance(tier, Tier) and tier.takes(endpoint, now)

    def retry_after(self, now: float) -> float:
        """In how many seconds a request may be admitted again; 0.0: now. The open time when nobody can say."""
        self.settle(now)
        wait_s = min(self._own.retry_after(now), self._away.retry_after(now))
        return self._settings.breaker.open_s if wait_s == _NEVER else wait_s

    def find(self, key: str) -> "Endpoint | None":
        """The endpoint with this address and port."""
        return self._by_key.get(key)

    def make(self, spec: "EndpointSpec", key: str) -> "Endpoint":
        """A new endpoint, which takes part once it is among those that are taken."""
        breaker = Breaker(self._settings.breaker, self._permit, self._turned)
        self._numbers += 1
        endpoint = Endpoint(spec, key, breaker, _LONG_AGO, self._numbers)
        breaker.owner = endpoint
        breaker.freed = self._freed
        return endpoint

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
        self._place(endpoint, old, new)
        self._changed(endpoint, old, new, why)

    def _freed(self, breaker: Breaker) -> None:
        endpoint = breaker.owner
        if endpoint is not None:
            assert isinstance(endpoint, Endpoint)
            self._place(endpoint, "", "")

    def _place(self, endpoint: "Endpoint", old: str, new: str) -> None:
        tier = endpoint.tier
        if tier is None or not self._takes_part(endpoint):
            return
        assert isinstance(tier, Tier)
        if old != new:
            tier.half_open += (new == HALF_OPEN) - (old == HALF_OPEN)
            if new == CLOSED:
                tier.warm(endpoint)
        tier.settle(endpoint)
