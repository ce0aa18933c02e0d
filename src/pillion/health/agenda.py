"""What is due when, for many checks and one timer."""

from __future__ import annotations

import heapq

_SPARE = 64


class Agenda:
    """Names with a time each. Every operation is logarithmic; what is outdated is bounded by what is in force."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str]] = []
        self._current: dict[str, tuple[float, int]] = {}
        self._count = 0

    def __len__(self) -> int:
        """How many names have a time."""
        return len(self._current)

    def __contains__(self, name: str) -> bool:
        """Whether `name` has a time."""
        return name in self._current

    def put(self, name: str, due: float) -> None:
        """`name` is due at `due`, whatever was said before."""
        self._count += 1
        self._current[name] = (due, self._count)
        heapq.heappush(self._heap, (due, self._count, name))
        if len(self._heap) > 2 * len(self._current) + _SPARE:
            self._heap = [(at, n, one) for one, (at, n) in self._current.items()]
            heapq.heapify(self._heap)

    def drop(self, name: str) -> None:
        """`name` is not due any more."""
        self._current.pop(name, None)

    def next(self) -> float | None:
        """When the first is due; None without any."""
        while self._heap:
            due, number, name = self._heap[0]
            if self._current.get(name) == (due, number):
                return due
            heapq.heappop(self._heap)
        return None

    def take(self, now: float) -> list[str]:
        """Remove and return what is due at `now`, in the order of its times."""
        found = []
        while (due := self.next()) is not None and due <= now:
            name = heapq.heappop(self._heap)[2]
            del self._current[name]
            found.append(name)
        return found
