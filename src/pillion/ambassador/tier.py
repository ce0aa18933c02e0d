# cython: annotation_typing=False, auto_pickle=False
"""Endpoints among which one is chosen: sorted by whether they can be, so that a choice never looks through those that cannot.

    READY    healthy, breaker closed: these share the requests
    TRYING   healthy, half-open with a trial left: the next request is the trial
    PARKED   open, or half-open with every trial under way: looked at again when its time comes, or when its breaker says so
    OUT      unhealthy, or of weight 0

An endpoint moves when its breaker changes, which is rare; a choice among thousands costs what it costs among two.
"""

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from .balance import Ring, Shares, Turns, ramp
from .breaker import HALF_OPEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from .endpoint import Endpoint

LEAST_REQUEST: Final = "least-request"
ROUND_ROBIN: Final = "round-robin"
RANDOM: Final = "random"
HASH: Final = "hash"

_OUT: Final = 0
_READY: Final = 1
_TRYING: Final = 2
_PARKED: Final = 3
_ASKABLE: Final = 1 << 1 | 1 << 2

_LEAST: Final = 0
_TURNS: Final = 1
_RANDOM: Final = 2
_HASH: Final = 3
_MODES: Final = {LEAST_REQUEST: _LEAST, ROUND_ROBIN: _TURNS, RANDOM: _RANDOM, HASH: _HASH}

_NEVER: Final = float("inf")
_DRAWS: Final = 16  # before weights and ramps are let be
_WAKES: Final = 64  # endpoints that are looked at again at once; the next choice goes on


class Tier:
    """The endpoints of an upstream, or those of one zone."""

    __slots__ = (
        "_due",
        "_due_s",
        "_even",
        "_members",
        "_mode",
        "_random",
        "_ready",
        "_ring",
        "_shares",
        "_slow_start_s",
        "_trying",
        "_turns",
        "_warm_s",
        "_weighted",
        "half_open",
    )

    def __init__(self, random: "Callable[[], float]") -> None:
        self._random = random
        self._mode = _LEAST
        self._slow_start_s = 0.0
        self._members: list[Endpoint] = []
        self._ready: list[Endpoint] = []
        self._trying: list[Endpoint] = []
        self._due: list[tuple[float, int, Endpoint]] = []
        self._due_s = _NEVER
        self._even = True
        self._shares: Shares | None = None
        self._weighted: list[Endpoint] = []
        self._turns = Turns(random())
        self._ring: Ring | None = None
        self._warm_s = 0.0
        self.half_open = 0

    def empty(self) -> "list[Ring]":
        """Send everybody out, and return the ring that is out of use, if any. Of several tiers all are emptied before one is
        filled, since endpoints may move between them.
        """
        for endpoint in self._members:
            endpoint.tier = None
            endpoint.place = _OUT
            endpoint.index = -1
            endpoint.due_s = 0.0
        self._members = []
        self._ready.clear()
        self._trying.clear()
        self._due.clear()
        self._due_s = _NEVER
        self._turns.clear()
        self.half_open = 0
        ring, self._ring = self._ring, None
        return [] if ring is None else [ring]

    def fill(
        self,
        members: "list[Endpoint]",
        taken: "list[Endpoint]",
        balance: str,
        slow_start_s: float,
        shares: "Shares | None",
        ring: "Ring | None",
        now: float,
    ) -> None:
        """Take these members in, after `empty`; of them those take part that are `taken`, with the tables that were made for them.

        `shares` is None where all weights are the same, `ring` where the balance needs none. Raise KeyError for an unknown balance.
        """
        self._mode = _MODES[balance]
        self._slow_start_s = slow_start_s
        self._members = members
        self._warm_s = now
        self._even = shares is None
        self._weighted = [] if shares is None else taken
        self._shares = shares
        self._ring = ring
        for endpoint in members:
            endpoint.tier = self
        for endpoint in taken:
            self.half_open += endpoint.breaker.state == HALF_OPEN
            self.settle(endpoint)
            if slow_start_s > 0.0:
                self.warm(endpoint)

    def ring_of(self, signature: "list[tuple[str, int]]") -> "Ring | None":
        """The ring in use, if it is that of these keys and weights."""
        ring = self._ring
        return ring if ring is not None and ring.signature == signature else None

    def warm(self, endpoint: "Endpoint") -> None:
        """Its slow start has begun, at its `born_s`."""
        if self._slow_start_s > 0.0:
            self._warm_s = max(self._warm_s, endpoint.born_s + self._slow_start_s)

    def settle(self, endpoint: "Endpoint") -> None:
        """Put an endpoint that takes part where its breaker says."""
        breaker = endpoint.breaker
        if breaker.closed:
            place = _READY
        elif breaker.waits_for_trial:
            place = _TRYING
        else:
            place = _PARKED
        if place != endpoint.place:
            self._move(endpoint, place)
        if place == _PARKED:
            self._look_at(endpoint, breaker.until)

    def pick(
        self, now: float, hash_key: "int | None", tried: "list[Endpoint]"
    ) -> "Endpoint | None":
        """Choose one that is not among `tried` and whose breaker admits a request at `now`; None: there is none."""
        if now >= self._due_s and (self._mode == _HASH or not self._trying):
            self._wake(now)
        endpoint = self._pick(now, hash_key, tried)
        while endpoint is None and now >= self._due_s:
            self._wake(now)
            endpoint = self._trial(tried, now)
        return endpoint

    def _pick(
        self, now: float, hash_key: "int | None", tried: "list[Endpoint]"
    ) -> "Endpoint | None":
        if hash_key is not None and self._mode == _HASH:
            return self._hashed(hash_key, tried, now)
        if self._trying:
            trial = self._trial(tried, now)
            if trial is not None:
                return trial
        ready = self._ready
        count = len(ready)
        if count == 0:
            return None
        if self._mode == _TURNS:
            return self._next(tried, now)
        if tried or not self._even or now < self._warm_s:
            return self._choose(tried, now)
        if count == 1:
            return ready[0]
        index = int(self._random() * count)
        first = ready[index]
        if self._mode == _RANDOM:
            return first
        other = int(self._random() * (count - 1))
        if other >= index:
            other += 1
        second = ready[other]
        return second if second.active < first.active else first

    def takes(self, endpoint: "Endpoint", now: float) -> bool:
        """Whether one that stands here could be chosen at `now`."""
        if endpoint.place == _TRYING:
            return endpoint.breaker.admits(now)
        return endpoint.place == _READY

    def retry_after(self, now: float) -> float:
        """In how many seconds somebody may be admitted again, after `pick` found nobody; infinite: nobody will by time alone."""
        if self._ready or self._trial([], now) is not None:
            return 0.0
        due = self._due
        while due and due[0][2].due_s != due[0][0]:
            heappop(due)
        if not due:
            return _NEVER
        wait_s = max(0.0, due[0][0] - now)
        return min(wait_s, 1.0) if self.half_open else wait_s

    # Those in need of a look.

    def _look_at(self, endpoint: "Endpoint", due_s: float) -> None:
        """Look at it again at `due_s`. One entry of each endpoint is in force; an older one is passed over."""
        if due_s == _NEVER:
            endpoint.due_s = 0.0  # opened by hand: what was due is no more
            return
        if endpoint.due_s and endpoint.due_s <= due_s:
            return
        endpoint.due_s = due_s
        heappush(self._due, (due_s, endpoint.number, endpoint))
        if due_s < self._due_s:
            self._due_s = due_s

    def _wake(self, now: float) -> None:
        due = self._due
        for _ in range(_WAKES):
            if not due or due[0][0] > now:
                break
            due_s, _number, endpoint = heappop(due)
            if endpoint.due_s != due_s:
                continue
            endpoint.due_s = 0.0
            if endpoint.place == _PARKED:
                # Asked, an open breaker becomes half-open; later than thought, it stays here.
                endpoint.breaker.admits(now)
                self.settle(endpoint)
                if endpoint.place == _TRYING and self._mode != _HASH:
                    break  # one is enough for this request
        self._due_s = due[0][0] if due else _NEVER

    def _trial(self, tried: "list[Endpoint]", now: float) -> "Endpoint | None":
        trying = self._trying
        index = len(trying)
        while index:
            index -= 1
            endpoint = trying[index]
            if not endpoint.breaker.admits(now):
                # The last one of the list takes its place, and has been looked at.
                self.settle(endpoint)
            elif endpoint not in tried:
                return endpoint
        return None

    def _move(self, endpoint: "Endpoint", place: int) -> None:
        old = endpoint.place
        if old in (_READY, _TRYING):
            held = self._ready if old == _READY else self._trying
            last = held.pop()
            if last is not endpoint:
                held[endpoint.index] = last
                last.index = endpoint.index
        endpoint.place = place
        if place in (_READY, _TRYING):
            held = self._ready if place == _READY else self._trying
            endpoint.index = len(held)
            held.append(endpoint)
            if place == _READY and self._mode == _TURNS:
                self._turns.add(endpoint)

    # Choices beyond the plain one.

    def _choose(self, tried: "list[Endpoint]", now: float) -> "Endpoint | None":
        first = self._draw(None, tried, now)
        if first is None or self._mode == _RANDOM or len(self._ready) == 1:
            return first
        second = self._draw(first, tried, now)
        if second is None:
            return first
        # Less in flight for its weight; the first of two alike, because it was drawn by weight.
        return second if second.active * first.weight < first.active * second.weight else first

    def _draw(
        self, other: "Endpoint | None", tried: "list[Endpoint]", now: float
    ) -> "Endpoint | None":
        """Draw by weight one that is neither `other` nor among `tried`."""
        ready = self._ready
        count = len(ready)
        warming = now < self._warm_s
        for _ in range(_DRAWS):
            if self._shares is None:
                endpoint = ready[int(self._random() * count)]
            else:
                endpoint = self._weighted[self._shares.draw(self._random())]
                if endpoint.place != _READY:
                    continue
            if endpoint is other or (tried and endpoint in tried):
                continue
            if warming:
                part = ramp(now, endpoint.born_s, self._slow_start_s)
                if part < 1.0 and self._random() >= part:
                    continue
            return endpoint
        # Out of luck: any that will do. Those that will not are few, so this ends soon.
        start = int(self._random() * count)
        for step in range(count):
            endpoint = ready[(start + step) % count]
            if endpoint is not other and endpoint not in tried:
                return endpoint
        return None

    def _next(self, tried: "list[Endpoint]", now: float) -> "Endpoint | None":
        slow_start_s = self._slow_start_s if now < self._warm_s else 0.0
        if not tried:
            return self._turns.next(_READY, now, slow_start_s)
        for _ in range(len(tried) + 1):
            endpoint = self._turns.next(_READY, now, slow_start_s)
            if endpoint is None or endpoint not in tried:
                return endpoint
        return self._draw(None, tried, now)

    def _hashed(self, key: int, tried: "list[Endpoint]", now: float) -> "Endpoint | None":
        ring = self._ring
        if ring is None or not (self._ready or self._trying):
            return None
        owner = ring.owner(key)
        if (
            owner is not None
            and (owner.place == _READY or (owner.place == _TRYING and owner.breaker.admits(now)))
            and (not tried or owner not in tried)
        ):
            return owner
        owner = ring.owner_in(key, _ASKABLE, tried, now)
        if owner is None and self._ready:
            owner = self._draw(None, tried, now)
        return owner if owner is not None else self._trial(tried, now)
