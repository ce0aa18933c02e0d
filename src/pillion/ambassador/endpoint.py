# cython: annotation_typing=False, auto_pickle=False
"""One endpoint of an upstream as a worker sees it: its breaker, what is in flight, and its place among the others."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .breaker import Breaker
    from .pool import Pool
    from .snapshot import EndpointSpec

MOST_WEIGHT: Final = 65_535


class Endpoint:
    """An endpoint that was told by a snapshot, and what this worker knows of it beyond.

    The data path keeps `active` (requests in flight), `requests`, `failures` and `pool` (its
    connections). `authority` is what a Host field says of it, `named` whether a URL or DNS gave it a name. `born_s` is since when it takes its share: from then on slow start raises it.
    """

    __slots__ = (
        "active",
        "authority",
        "born_s",
        "breaker",
        "due_s",
        "failures",
        "index",
        "key",
        "named",
        "number",
        "place",
        "pool",
        "queued",
        "requests",
        "spec",
        "tier",
        "turn",
        "weight",
    )

    def __init__(
        self, spec: "EndpointSpec", key: str, breaker: "Breaker", born_s: float, number: int
    ) -> None:
        self.key = key
        self.breaker = breaker
        self.active = 0
        self.born_s = born_s
        self.pool: Pool | None = None
        self.requests = 0
        self.failures = 0
        # The rest is for the tier that the endpoint is in.
        self.tier: object | None = None
        self.place = 0
        self.index = -1  # in the list of that place
        self.due_s = 0.0  # when it is looked at again; 0.0: nobody will
        self.turn = -1  # its next turn in the round robin
        self.queued = False
        self.number = number  # unique in its group
        # They are a part of what it is: told otherwise it is another endpoint.
        self.named = bool(spec.host)
        self.authority = (
            _authority(spec.host, spec.port, tls=spec.tls) if spec.host else key.encode()
        )
        self.describe(spec)

    def describe(self, spec: "EndpointSpec") -> None:
        """Take over what a new snapshot says of it."""
        self.spec = spec
        self.weight = weight_of(spec)

    def __repr__(self) -> str:
        return f"Endpoint({self.key}, {self.breaker.state}, active={self.active})"


def weight_of(spec: "EndpointSpec") -> int:
    """The weight that counts."""
    return max(0, min(spec.weight, MOST_WEIGHT))


def _authority(host: str, port: int, *, tls: bool) -> bytes:
    usual = 443 if tls else 80
    name = f"[{host}]" if ":" in host else host
    return (name if port == usual else f"{name}:{port}").encode()
