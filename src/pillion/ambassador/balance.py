# cython: annotation_typing=False, auto_pickle=False
"""How one of many endpoints is chosen: tables that are built when the endpoints change, and asked in constant time.

    Shares   random by weight (Vose's alias method): one random number, two look-ups
    Turns    round robin by weight: exact over a cycle, the turns of each spread evenly over it
    Ring     consistent hash: a key stays where it is unless its own endpoint goes

Least-request of two is two random draws, of which the one with less in flight for its weight wins: nearly as good as
knowing the least of all, and without the herd that follows one number.
"""

from bisect import bisect_left
from heapq import heappop, heappush, heapreplace
from typing import TYPE_CHECKING, Final
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .endpoint import Endpoint

_CYCLE: Final = 1 << 44  # the length of a round, in the unit of turns
_GOLDEN: Final = int(_CYCLE * 0.6180339887498949)
_PHASES: Final = 4096  # the products stay within 64 bits
_LEAST_RAMP: Final = 0.1
_POINTS: Final = 8
_PROBES: Final = 21
_WALK: Final = 64
_MOST_RING_WEIGHT: Final = 16
_RING: Final = (1 << 40) - 1
_NUMBER_BITS: Final = 20  # a point and the number of its endpoint in one word: a sorted list of plain numbers is the ring
_NUMBER: Final = (1 << _NUMBER_BITS) - 1
_TOP: Final = 64 - 40
_HEAP_BITS: Final = 8
_HEAP_SHIFT: Final = 40 - _HEAP_BITS
_POINTS_IN_A_ROW: Final = 500
_MIX_A: Final = 0xBF58476D1CE4E5B9
_MIX_B: Final = 0x94D049BB133111EB
_STEP: Final = 0x9E3779B97F4A7C15
_WORD: Final = (1 << 64) - 1


def ramp(now: float, born_s: float, slow_start_s: float) -> float:
    """The part of its weight that an endpoint has by now under slow start: from a tenth up to 1.0, in a straight line."""
    age_s = now - born_s
    if age_s >= slow_start_s:
        return 1.0
    return max(_LEAST_RAMP, age_s / slow_start_s)


def hash_key(value: bytes) -> int:
    """The number of a hash key, the same in every worker and every run."""
    return crc32(value)


def _mix(word: int) -> int:
    """Spread 64 bits over 64 bits (the finaliser of SplitMix64)."""
    word = ((word ^ (word >> 30)) * _MIX_A) & _WORD
    word = ((word ^ (word >> 27)) * _MIX_B) & _WORD
    return word ^ (word >> 31)


class Shares:
    """Draws of an index, with the probability of its weight."""

    __slots__ = ("_count", "_keep", "_other")

    def __init__(self, weights: list[int]) -> None:
        """`weights` are not empty, and at least 1."""
        count = len(weights)
        total = sum(weights)
        self._count = count
        self._keep = [1.0] * count
        self._other = list(range(count))
        # In whole numbers: what is below the average is filled up from what is above it.
        room = [weight * count for weight in weights]
        small = [index for index in range(count) if room[index] < total]
        large = [index for index in range(count) if room[index] >= total]
        while small and large:
            low, high = small.pop(), large.pop()
            self._keep[low] = room[low] / total
            self._other[low] = high
            room[high] -= total - room[low]
            (small if room[high] < total else large).append(high)

    def draw(self, random: float) -> int:
        """The index for a random number in [0, 1)."""
        scaled = random * self._count
        index = int(scaled)
        return index if scaled - index < self._keep[index] else self._other[index]


class Turns:
    """Round robin by weight. Those that are out lose no more than the turns of that time, and owe none.

    An endpoint with weight w has its turns at (phase + k) / w of a cycle, whoever is earliest comes
    next, so that a cycle gives each exactly its weight. Phases follow the golden ratio from a random
    start: turns of different endpoints do not bunch, and two workers do not go round in step. A heap
    holds those that are in.
    """

    __slots__ = ("_heap", "_now", "_start")

    def __init__(self, start: float) -> None:
        """`start` is random, in [0, 1)."""
        self._heap: list[tuple[int, int, Endpoint]] = []
        self._now = 0
        self._start = int(start * _CYCLE)

    def add(self, endpoint: "Endpoint") -> None:
        """Let it take part."""
        if endpoint.queued:
            return
        endpoint.queued = True
        stride = _CYCLE // endpoint.weight
        if endpoint.turn < 0:
            phase = (endpoint.number % _PHASES * _GOLDEN + self._start) % _CYCLE
            endpoint.turn = self._now + phase // endpoint.weight
        elif endpoint.turn < self._now:
            endpoint.turn = self._now
        elif endpoint.turn > self._now + stride:
            # It comes from another round, or had a smaller weight.
            endpoint.turn = self._now + stride
        heappush(self._heap, (endpoint.turn, endpoint.number, endpoint))

    def next(self, place: int, now: float, slow_start_s: float) -> "Endpoint | None":
        """Whose turn it is, of those in `place`; the others leave the round."""
        heap = self._heap
        while heap:
            endpoint = heap[0][2]
            if endpoint.place != place:
                heappop(heap)
                endpoint.queued = False
                continue
            stride = _CYCLE // endpoint.weight
            if slow_start_s > 0.0:
                part = ramp(now, endpoint.born_s, slow_start_s)
                if part < 1.0:
                    stride = int(stride / part)
            self._now = endpoint.turn
            endpoint.turn += stride
            heapreplace(heap, (endpoint.turn, endpoint.number, endpoint))
            return endpoint
        return None

    def clear(self) -> None:
        """Send everybody out; the turns stay with the endpoints."""
        for _, _, endpoint in self._heap:
            endpoint.queued = False
        self._heap.clear()


class Ring:
    """Consistent hash with several probes for each key (Appleton and O'Reilly, 2015).

    Every endpoint has a few points on a circle, more with more weight, which depend on nothing but
    its key; a key is hashed to 21 places, and the point that follows one of them most closely wins.
    So an endpoint that goes moves its own keys alone, spread over all others, and one that comes takes
    only what will be its own. Balance is that of a classic ring with far more points.
    """

    __slots__ = ("_endpoints", "points", "signature")

    def __init__(
        self,
        endpoints: "list[Endpoint]",
        signature: "list[tuple[str, int]] | None" = None,
        points: "list[int] | None" = None,
    ) -> None:
        """With the `points` that `ring_points` has made of the `signature` nothing is left to be done."""
        if signature is None or points is None:
            signature = ring_signature(endpoints)
            points = []
            for _ in ring_points(signature, points):
                pass
        self.signature = signature
        self._endpoints = endpoints
        self.points = points

    def owner(self, key: int) -> "Endpoint | None":
        """The endpoint of a key (any number), whatever its state; None when there is none."""
        points = self.points
        count = len(points)
        if count == 0:
            return None
        word = _mix(key & _WORD)
        step = _mix(word ^ _STEP) | 1
        best = -1
        nearest = _RING
        for _ in range(_PROBES):
            at = word >> _TOP
            index = bisect_left(points, at << _NUMBER_BITS)
            if index == count:
                index = 0
            point = points[index]
            distance = ((point >> _NUMBER_BITS) - at) & _RING
            if distance < nearest or best < 0:
                nearest = distance
                best = point
            word = (word + step) & _WORD
        return self._endpoints[best & _NUMBER]

    def owner_in(
        self, key: int, places: int, tried: "list[Endpoint]", now: float
    ) -> "Endpoint | None":
        """The endpoint that would own a key if only those existed whose place is in the bits of `places`, which are not among `tried`
        and whose breaker admits; None if none was found near.
        """
        points = self.points
        count = len(points)
        word = _mix(key & _WORD)
        step = _mix(word ^ _STEP) | 1
        best: Endpoint | None = None
        nearest = _RING
        for _ in range(_PROBES):
            at = word >> _TOP
            index = bisect_left(points, at << _NUMBER_BITS)
            for _ in range(min(_WALK, count)):
                if index >= count:
                    index = 0
                point = points[index]
                distance = ((point >> _NUMBER_BITS) - at) & _RING
                if best is not None and distance >= nearest:
                    break
                endpoint = self._endpoints[point & _NUMBER]
                if (
                    places >> endpoint.place & 1
                    and endpoint not in tried
                    and endpoint.breaker.admits(now)
                ):
                    nearest = distance
                    best = endpoint
                    break
                index += 1
            word = (word + step) & _WORD
        return best


def ring_points(signature: list[tuple[str, int]], points: list[int]) -> "Iterator[None]":
    """Put the points of a ring into `points`, in their order: some hundreds, then a turn for others at every yield.

    Thousands of endpoints have a hundred thousand points, and nobody waits for those. They are gathered in as many heaps as
    keep each small, which are sorted one by one.
    """
    heaviest = max((weight for _, weight in signature), default=1)
    heaps: list[list[int]] = [[] for _ in range(1 << _HEAP_BITS)]
    made = 0
    for number, (key, weight) in enumerate(signature):
        if heaviest > _MOST_RING_WEIGHT and weight:
            weight = max(1, weight * _MOST_RING_WEIGHT // heaviest)
        word = _mix(crc32(key.encode()) + _STEP)
        for _ in range(_POINTS * weight):
            word = (word + _STEP) & _WORD
            at = _mix(word) >> _TOP
            heaps[at >> _HEAP_SHIFT].append(at << _NUMBER_BITS | number)
            made += 1
        if made >= _POINTS_IN_A_ROW:
            made = 0
            yield
    for heap in heaps:
        heap.sort()
        points += heap
        made += len(heap)
        if made >= _POINTS_IN_A_ROW:
            made = 0
            yield


def ring_signature(endpoints: "list[Endpoint]") -> list[tuple[str, int]]:
    """What a ring depends on."""
    return [(endpoint.key, endpoint.weight) for endpoint in endpoints]
