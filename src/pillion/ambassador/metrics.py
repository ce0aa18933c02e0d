# cython: annotation_typing=False, auto_pickle=False
"""Rate, errors and durations of the requests by direction, route and upstream: counted at their end, told later.

A request is counted once, with no text being built; how many series there may be is bounded, whatever is configured.
"""

from typing import TYPE_CHECKING

from .red_report import BOUNDS_S, CLASSES, OTHER, RedReport, SeriesReport

if TYPE_CHECKING:
    from collections.abc import Container

    from .facts import Facts

MOST_SERIES = 200
# Reasons are ours, so that this bound is only one against a mistake.
_MOST_REASONS = 48

_BOUNDS = len(BOUNDS_S)
_bounds_s = list(BOUNDS_S)
_NONE = CLASSES.index("none")
_TCP = CLASSES.index("tcp")


def bucket_of(seconds: float) -> int:
    """Return the index of the first bucket whose bound is not below `seconds`."""
    at = 0
    # From below: most requests are fast, and compiled this is a handful of comparisons.
    while at < _BOUNDS and seconds > _bounds_s[at]:
        at += 1
    return at


def _zeros(count: int) -> list[int]:
    return [0] * count


def _label(text: str) -> str:
    """A name as it can be told: one that is no Unicode text would spoil the whole report."""
    return text.encode("utf-8", "backslashreplace").decode()


class Series:
    """The counts of one direction, route and upstream."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "classes",
        "direction",
        "facts_route",
        "facts_upstream",
        "first",
        "first_s",
        "reasons",
        "retries",
        "route",
        "total",
        "total_s",
        "upstream",
    )

    def __init__(self, direction: str, route: str, upstream: str) -> None:
        self.direction = direction
        # As requests have them, so that it is found by them.
        self.facts_route = route
        self.facts_upstream = upstream
        self.route = _label(route)
        self.upstream = _label(upstream)
        self.classes = _zeros(len(CLASSES))
        self.total = _zeros(len(BOUNDS_S) + 1)
        self.total_s = 0.0
        self.first = _zeros(len(BOUNDS_S) + 1)
        self.first_s = 0.0
        self.bytes_in = 0
        self.bytes_out = 0
        self.retries = 0
        self.reasons: dict[str, int] = {}


class Red:
    """Counts what is over; at most MOST_SERIES series, the rest of each direction together as "other".

    `overflow` counts requests that went to "other". `changed` is set by each request and taken back by `report`.
    """

    __slots__ = (
        "_last",
        "_series",
        "changed",
        "overflow",
    )

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, str], Series] = {}
        self._last: Series | None = None
        """Where the request before was counted: more often than not that is right again."""
        self.overflow = 0
        self.changed = False

    def observe(self, facts: "Facts") -> None:
        """Count a request, or a connection of raw TCP, that is over."""
        series = self._last
        if (
            series is None
            or series.facts_route is not facts.route
            or series.facts_upstream is not facts.upstream
            or series.direction is not facts.direction
        ):
            series = self._series.get((facts.direction, facts.route, facts.upstream))
            if series is None:
                series = self._begin(facts.direction, facts.route, facts.upstream)
            self._last = series
        status = facts.status
        if 100 <= status < 600:
            kind = status // 100
        elif facts.version == "tcp" and not facts.reason:
            kind = _TCP
        else:
            kind = _NONE
        series.classes[kind] += 1
        total_s = facts.total_s
        series.total[bucket_of(total_s)] += 1
        series.total_s += total_s
        first_s = facts.first_s
        if first_s >= 0.0:
            series.first[bucket_of(first_s)] += 1
            series.first_s += first_s
        series.bytes_in += facts.bytes_in
        series.bytes_out += facts.bytes_out
        if facts.attempts > 1:
            series.retries += facts.attempts - 1
        if facts.reason:
            self._explain(series.reasons, facts.reason)
        self.changed = True

    def report(self) -> RedReport:
        """Return all counts."""
        self.changed = False
        return RedReport(
            [
                SeriesReport(
                    one.direction,
                    one.route,
                    one.upstream,
                    list(one.classes),
                    list(one.total),
                    one.total_s,
                    list(one.first),
                    one.first_s,
                    one.bytes_in,
                    one.bytes_out,
                    one.retries,
                    one.reasons,
                )
                for one in self._series.values()
            ],
            self.overflow,
        )

    def keep(self, routes: "Container[str]", upstreams: "Container[str]") -> None:
        """Forget the series of routes and upstreams that there are no more; they make room for others."""
        gone = [
            key
            for key, one in self._series.items()
            if one.route not in routes or one.upstream not in upstreams
        ]
        for key in gone:
            del self._series[key]
            self._last = None
            self.changed = True

    def _begin(self, direction: str, route: str, upstream: str) -> Series:
        # Room is left for "other" of both directions.
        if len(self._series) >= MOST_SERIES - 2:
            self.overflow += 1
            route = upstream = OTHER
        key = (direction, route, upstream)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = Series(direction, route, upstream)
        return series

    def _explain(self, reasons: dict[str, int], reason: str) -> None:
        if reason not in reasons and len(reasons) >= _MOST_REASONS:
            reason = OTHER
        reasons[reason] = reasons.get(reason, 0) + 1
