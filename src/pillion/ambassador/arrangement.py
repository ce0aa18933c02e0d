"""The endpoints of an upstream under the next policy, arranged beside those in use: thousands of them need many turns of the loop,
in which requests go on under the policy before.

Nothing that a request sees is touched here. `EndpointGroup.take` then goes by it at once.
"""

from typing import TYPE_CHECKING

from .balance import Ring, Shares, ring_points
from .endpoint import weight_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pillion.settings.upstreams import Upstream

    from .endpoint import Endpoint
    from .endpoints import EndpointGroup
    from .snapshot import EndpointSpec

IN_A_ROW = 100
"""Endpoints that are looked at in one turn."""
_POINTS_IN_A_ROW = 4000
_HASH = "hash"


class Side:
    """The endpoints of our own zone, or the others: `members` are all, `taken` those that requests go to."""

    __slots__ = ("members", "ring", "shares", "signature", "taken", "weights")

    def __init__(self) -> None:
        self.members: list[Endpoint] = []
        self.taken: list[Endpoint] = []
        self.weights: list[int] = []
        self.signature: list[tuple[str, int]] = []
        self.shares: Shares | None = None
        self.ring: Ring | None = None


class Arrangement:
    """Of one upstream; `steps` is to be run to its end before it is taken.

    An endpoint that stays (same address and port, same way of talking to it) is the same object. `new` and `gone` are the
    others, `changed` those that stay and are told of differently; `first` is whether there was none before.
    """

    __slots__ = (
        "_group",
        "_left",
        "by_key",
        "changed",
        "endpoints",
        "far",
        "first",
        "gone",
        "near",
        "new",
        "panic",
        "same_breaker",
        "settings",
        "specs",
        "zone",
    )

    def __init__(
        self,
        group: "EndpointGroup",
        specs: "tuple[EndpointSpec, ...]",
        settings: "Upstream",
        zone: str,
    ) -> None:
        self._group = group
        self._left: list[Ring] = []
        self.specs = specs
        self.settings = settings
        self.zone = zone
        self.same_breaker = group.same_breaker(settings)
        self.first = not group.in_use()
        self.by_key: dict[str, Endpoint] = {}
        self.endpoints: tuple[Endpoint, ...] = ()
        self.new: list[Endpoint] = []
        self.changed: list[tuple[Endpoint, EndpointSpec]] = []
        self.gone: list[Endpoint] = []
        self.panic = True
        self.near = Side()
        self.far = Side()

    def steps(self) -> "Iterator[None]":
        """Do it, with a turn for others at every yield."""
        used: list[EndpointSpec] = []
        yield from self._match(used)
        self.endpoints = tuple(self.by_key.values())
        yield from self._part(used)
        for own, side in ((True, self.near), (False, self.far)):
            if any(weight != side.weights[0] for weight in side.weights):
                yield
                side.shares = Shares(side.weights)
            if self.settings.balance == _HASH:
                yield
                yield from self._ring(side, own=own)

    def leave(self, rings: "list[Ring]") -> None:
        """Keep what goes out of use with this arrangement until `let_go`."""
        mine = (self.near.ring, self.far.ring)
        self._left = [
            ring
            for ring in rings
            if all(one is None or one.points is not ring.points for one in mine)
        ]

    def let_go(self) -> "Iterator[None]":
        """Free it, with a turn for others at every yield: a ring of thousands has a hundred thousand points."""
        for ring in self._left:
            points = ring.points
            while points:
                del points[-_POINTS_IN_A_ROW:]
                yield
        self._left = []

    def _match(self, used: "list[EndpointSpec]") -> "Iterator[None]":
        """Find who stays, who is new and who goes; `used` are the specs of those who are there, in their order."""
        before, after = self._group.in_use(), self.by_key
        for at, spec in enumerate(self.specs, 1):
            if at % IN_A_ROW == 0:
                yield
            key = spec.key
            if key in after:
                continue
            endpoint = before.get(key)
            if endpoint is not None and _talks_otherwise(endpoint.spec, spec):
                endpoint = None
            if endpoint is None:
                endpoint = self._group.make(spec, key)
                self.new.append(endpoint)
            elif endpoint.spec != spec:
                self.changed.append((endpoint, spec))
            after[key] = endpoint
            used.append(spec)
            if self.panic and spec.healthy and weight_of(spec):
                self.panic = False
        for at, (key, endpoint) in enumerate(before.items(), 1):
            if at % IN_A_ROW == 0:
                yield
            if after.get(key) is not endpoint:
                self.gone.append(endpoint)

    def _part(self, used: "list[EndpointSpec]") -> "Iterator[None]":
        zone = self.zone if self.settings.zone_first else ""
        hashed = self.settings.balance == _HASH
        for at, (endpoint, spec) in enumerate(zip(self.endpoints, used, strict=True), 1):
            if at % IN_A_ROW == 0:
                yield
            side = self.near if not zone or spec.zone == zone else self.far
            weight = weight_of(spec)
            side.members.append(endpoint)
            if hashed:
                side.signature.append((endpoint.key, weight))
            if weight and (spec.healthy or self.panic):
                side.taken.append(endpoint)
                side.weights.append(weight)

    def _ring(self, side: Side, *, own: bool) -> "Iterator[None]":
        found = self._group.ring_of(side.signature, own=own)
        points: list[int] = []
        if found is not None:
            points = found.points
        else:
            yield from ring_points(side.signature, points)
        side.ring = Ring(side.members, side.signature, points)


def _talks_otherwise(old: "EndpointSpec", new: "EndpointSpec") -> bool:
    """Whether connections to `old` are none to `new`, although the address is the same."""
    return old.tls != new.tls or old.host != new.host
