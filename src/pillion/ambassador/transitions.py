"""Which changes of breakers the journal tells, so that one that flaps in every worker cannot flood it.

All workers together count as one: an endpoint's circuit is open when the first worker has opened it, closed when the last has closed it.
Trials between are no news. What comes too fast is told later, as it stands then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pillion.ambassador.wire import Transition

if TYPE_CHECKING:
    from pillion.ambassador.wire import Report

OPENED = "circuit-opened"
CLOSED = "circuit-closed"

QUIET_S = 10.0
"""Between two entries about one endpoint, after the first few."""
BURST = 4
ALL_PER_S = 1.0
ALL_BURST = 50
MOST_ENDPOINTS = 5000

_OPEN = "open"
_SHUT = "closed"


class Entry(NamedTuple):
    """An entry of the journal. `untold` changes of this endpoint were left out before it."""

    kind: str
    upstream: str
    endpoint: str
    reason: str
    forced: bool
    workers: tuple[str, ...]
    untold: int


class BreakerJournal:
    """Pure: it is told what happens and what time it is (seconds that only grow). `dropped` endpoints had no room."""

    def __init__(self) -> None:
        self._circuits: dict[tuple[str, str], _Circuit] = {}
        self._all = Allowance(ALL_BURST, ALL_PER_S)
        self.dropped = 0

    def observe(self, worker: str, change: Transition, now: float) -> Entry | None:
        """What to enter when `worker` says that a breaker changed; None for what is no news, or not yet."""
        key = (change.upstream, change.endpoint)
        circuit = self._circuits.get(key)
        if circuit is None:
            if change.new != _OPEN:
                return None
            if len(self._circuits) >= MOST_ENDPOINTS:
                self.dropped += 1
                return None
            circuit = self._circuits[key] = _Circuit()
        if change.new == _OPEN:
            circuit.open_in[worker] = None
        elif change.new == _SHUT:
            circuit.open_in.pop(worker, None)
        else:
            return None
        circuit.reason = change.reason
        circuit.forced = change.forced
        return self._news(key, circuit, now)

    def sync(self, worker: str, report: Report, now: float) -> list[Entry]:
        """What to enter by what `worker` reports: it may have changed unheard, while no agent was there."""
        found = []
        for upstream in report.upstreams:
            for one in upstream.endpoints:
                circuit = self._circuits.get((upstream.name, one.key))
                was_open = circuit is not None and worker in circuit.open_in
                if (one.state == _OPEN) != was_open and one.state in (_OPEN, _SHUT):
                    change = Transition(
                        upstream.name, one.key, "", one.state, one.reason, one.forced
                    )
                    entry = self.observe(worker, change, now)
                    found += [] if entry is None else [entry]
        return found

    def reason(self, upstream: str, endpoint: str) -> str:
        """Why its circuit is open; empty when it is not, or nobody knows."""
        circuit = self._circuits.get((upstream, endpoint))
        return circuit.reason if circuit is not None and circuit.is_open else ""

    def gone(self, worker: str) -> None:
        """A worker has ended, and its breakers with it."""
        for circuit in self._circuits.values():
            if circuit.open_in.pop(worker, "") is None:
                circuit.reason = f"{worker} has ended"

    def tick(self, now: float) -> list[Entry]:
        """What may be told by now."""
        found = [self._news(key, circuit, now) for key, circuit in list(self._circuits.items())]
        return [entry for entry in found if entry is not None]

    def wake_at(self, now: float) -> float | None:
        """When `tick` is due; None when nothing waits to be told."""
        waiting = [c for c in self._circuits.values() if c.is_open != c.told_open]
        if not waiting:
            return None
        soonest = min(circuit.allowance.ready_at(now) for circuit in waiting)
        return max(soonest, self._all.ready_at(now))

    def _news(self, key: tuple[str, str], circuit: _Circuit, now: float) -> Entry | None:
        if circuit.is_open == circuit.told_open:
            if not circuit.is_open and circuit.allowance.is_full(now):
                del self._circuits[key]
            return None
        ready = circuit.allowance.ready_at(now) <= now and self._all.ready_at(now) <= now
        if not ready:
            circuit.untold += 1
            return None
        circuit.allowance.take(now)
        self._all.take(now)
        circuit.told_open = circuit.is_open
        untold, circuit.untold = circuit.untold, 0
        return Entry(
            OPENED if circuit.is_open else CLOSED,
            *key,
            circuit.reason,
            circuit.forced,
            tuple(circuit.open_in),
            untold,
        )


class _Circuit:
    """One endpoint: in which workers it is open, and what was told."""

    __slots__ = ("allowance", "forced", "open_in", "reason", "told_open", "untold")

    def __init__(self) -> None:
        self.open_in: dict[str, None] = {}
        self.told_open = False
        self.reason = ""
        self.forced = False
        self.untold = 0
        self.allowance = Allowance(BURST, 1 / QUIET_S)

    @property
    def is_open(self) -> bool:
        return bool(self.open_in)


class Allowance:
    """A token bucket: `burst` at once, `per_s` a second after that."""

    __slots__ = ("_burst", "_left", "_per_s", "_since")

    def __init__(self, burst: int, per_s: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._left = float(burst)
        self._since = 0.0

    def ready_at(self, now: float) -> float:
        """When one may be taken."""
        left = self._at(now)
        return now if left >= 1.0 else now + (1.0 - left) / self._per_s + 1e-3

    def is_full(self, now: float) -> bool:
        """Whether nothing has been taken for long."""
        return self._at(now) >= self._burst

    def take(self, now: float) -> None:
        """Take one, when it is ready."""
        self._left = self._at(now) - 1.0
        self._since = now

    def _at(self, now: float) -> float:
        return min(self._burst, self._left + max(0.0, now - self._since) * self._per_s)
