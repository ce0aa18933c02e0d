"""What to do when leases end: one that ends means a dead holder, most of them at once mean that the store or the network is ill.

A lock that the kernel has freed is certain, and so is a deletion that somebody asked for. An expired lease is neither:
a store that was away for longer than a lease takes all of them along. So when most instances of a service are lost
by leases within a window, readers keep the old list, marked; they keep what was lost until it is certainly gone, or has come
back, or the service has recovered and the rest had its time to return, or a bound has passed.

    quiet ── more than half lost within `window_s`, at least two ──> keeping
    keeping ── at least half alive for another `window_s`, or `keep_s` over ──> quiet, what is still lost is dropped
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pillion.discovery.instance import ServiceInstance

WINDOW_S = 30.0
KEEP_S = 900.0
# One instance that vanishes is no crowd, whatever the share.
_CROWD = 2
MOST_LOST = 10_000


class _Losses(msgspec.Struct):
    """The losses of one service. `until_s` is None in the quiet state, else when keeping ends at the latest."""

    lost: dict[str, tuple[float, ServiceInstance]] = msgspec.field(default_factory=dict)
    until_s: float | None = None
    recovered_s: float | None = None

    def deadline_s(self, window_s: float) -> float:
        if self.until_s is None:
            return next(iter(self.lost.values()))[0] + window_s
        recovered = self.until_s if self.recovered_s is None else self.recovered_s + window_s
        return min(self.until_s, recovered)


class Leases:
    """The losses of all services; times are seconds of any clock that only goes forward.

    `forgotten` counts losses beyond `MOST_LOST`, which are believed at once.
    """

    def __init__(self, *, window_s: float = WINDOW_S, keep_s: float = KEEP_S) -> None:
        self._window_s = window_s
        self._keep_s = keep_s
        self._services: dict[str, _Losses] = {}
        self._count = 0
        self.forgotten = 0

    def kept(self, service: str) -> Mapping[str, ServiceInstance]:
        """What readers keep of `service` although its leases have ended, by id; empty in the quiet state."""
        losses = self._services.get(service)
        if losses is None or losses.until_s is None:
            return {}
        return {key: instance for key, (_, instance) in losses.lost.items()}

    def is_keeping(self, service: str) -> bool:
        """Whether readers of `service` keep what its leases have lost."""
        losses = self._services.get(service)
        return losses is not None and losses.until_s is not None

    def keeps(self, service: str, key: str) -> ServiceInstance | None:
        """One of `kept`."""
        losses = self._services.get(service)
        if losses is None or losses.until_s is None or key not in losses.lost:
            return None
        return losses.lost[key][1]

    @property
    def keeping(self) -> int:
        """How many services are kept for the time being."""
        return sum(1 for one in self._services.values() if one.until_s is not None)

    def lost(self, instance: ServiceInstance, alive: int, now_s: float) -> None:
        """The lease of `instance` has ended; `alive` is how many others of its service are left."""
        if self._count >= MOST_LOST:
            self.forgotten += 1
            return
        losses = self._services.setdefault(instance.service, _Losses())
        self._count += instance.id not in losses.lost
        # In the order of time, so that the oldest is the first.
        losses.lost.pop(instance.id, None)
        losses.lost[instance.id] = (now_s, instance)
        if losses.until_s is None:
            self._expire(losses, now_s)
            crowd = len(losses.lost)
            if crowd >= _CROWD and crowd > alive:
                losses.until_s = now_s + self._keep_s
        self._judge(losses, alive, now_s)

    def found(self, service: str, key: str, alive: int, now_s: float) -> None:
        """The instance `key` is there (again); `alive` counts it."""
        self._drop(service, key, alive, now_s)

    def gone(self, service: str, key: str, alive: int, now_s: float) -> None:
        """The instance `key` is certainly gone: somebody deleted it, or its lock is free."""
        self._drop(service, key, alive, now_s)

    def tick(self, now_s: float) -> list[str]:
        """Let time pass; return the services of which less is kept than before."""
        changed = []
        for service, losses in list(self._services.items()):
            if losses.until_s is None:
                self._expire(losses, now_s)
                if not losses.lost:
                    del self._services[service]
            elif now_s >= losses.deadline_s(self._window_s):
                del self._services[service]
                self._count -= len(losses.lost)
                changed.append(service)
        return changed

    @property
    def next_s(self) -> float | None:
        """When `tick` has something to do; None when nothing is under way."""
        return min(self._deadlines(), default=None)

    def _deadlines(self) -> Iterator[float]:
        return (one.deadline_s(self._window_s) for one in self._services.values())

    def _drop(self, service: str, key: str, alive: int, now_s: float) -> None:
        losses = self._services.get(service)
        if losses is None:
            return
        self._count -= losses.lost.pop(key, None) is not None
        if not losses.lost:
            del self._services[service]
            return
        self._judge(losses, alive, now_s)

    def _judge(self, losses: _Losses, alive: int, now_s: float) -> None:
        """Whether the service has recovered: as many are alive as are lost."""
        if losses.until_s is None:
            return
        if alive < len(losses.lost):
            losses.recovered_s = None
        elif losses.recovered_s is None:
            losses.recovered_s = now_s

    def _expire(self, losses: _Losses, now_s: float) -> None:
        while losses.lost:
            key, (at_s, _) = next(iter(losses.lost.items()))
            if now_s - at_s < self._window_s:
                return
            del losses.lost[key]
            self._count -= 1
