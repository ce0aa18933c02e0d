# cython: annotation_typing=False, auto_pickle=False
"""Which route a request takes: the first in the order of the file that fits.

Hundreds of routes are no more work than a few: they are sorted by host and by the first segment of
their path beforehand, and only those that share both with the request are asked, in their order.
"""

from bisect import bisect_right
from collections.abc import Container
from typing import TYPE_CHECKING, Final

from pillion.ambassador.field_rules import FieldRules, compile_rules
from pillion.ambassador.rewrite import PathRewrite, Redirection
from pillion.ambassador.route_match import (
    ANY,
    NOTHING,
    TEMPLATE,
    Conditions,
    PathPattern,
    host_pattern,
    host_without_port,
)
from pillion.http.codec.events import Headers

if TYPE_CHECKING:
    from random import Random

    from pillion.settings.routes import HeaderRules, RouteSpec

_EVERY_HOST = "*"
_CLASSES_MOST: Final = 1024


class CompiledRoute:
    """A route of the settings, ready to be matched and followed.

    `spec` is the route as it was set, with what it says about timeouts, retries, rates and faults;
    `name` the one it was given, or its place in the file (`#3`); `host` the Host to send, None: the
    upstream's; `targets` the upstreams that get a share; `redirect_status` 0 for no redirect.
    """

    __slots__ = (
        "_cumulated",
        "_redirect",
        "_rewrite",
        "_total",
        "conditions",
        "host",
        "hosts",
        "name",
        "path",
        "plain",
        "redirect_status",
        "request_rules",
        "response_rules",
        "spec",
        "targets",
        "unconditional",
    )

    def __init__(self, spec: "RouteSpec", order: int, upstreams: Container[str]) -> None:
        """Raise ValueError, beginning with "cannot", for a route that cannot be followed."""
        self.spec = spec
        self.name: str = spec.name or f"#{order}"
        match, rewrite, redirect = spec.match, spec.rewrite, spec.redirect
        self.hosts = tuple(host_pattern(host) for host in match.host) or (_EVERY_HOST,)
        self.path = PathPattern(match.path)
        self.conditions = Conditions(match.methods, match.headers, match.query)
        self.unconditional = self.conditions.trivial and self.path.kind == ANY
        self.plain = RouteMatch(self, NOTHING)
        self.request_rules = _rules(spec.request_headers)
        self.response_rules = _rules(spec.response_headers)
        self.host = rewrite.host.encode("ascii") if rewrite.host else None
        self._rewrite: PathRewrite | None = None
        if rewrite.path or rewrite.prefix:
            self._rewrite = PathRewrite(self.path, rewrite.path, rewrite.prefix)
        self._redirect = None if redirect is None else Redirection(self.path, redirect.to)
        self.redirect_status: int = 0 if redirect is None else redirect.status
        weighed = [to for to in spec.to if to.weight > 0]
        self.targets = tuple(to.upstream for to in weighed)
        self._total = sum(to.weight for to in weighed)
        self._cumulated = [sum(to.weight for to in weighed[: at + 1]) for at in range(len(weighed))]
        for name in self.targets:
            if name not in upstreams:
                raise ValueError(f"cannot send route {self.name} to {name}: no such upstream")
        if bool(self.targets) + (redirect is not None) + (spec.answer is not None) != 1:
            raise ValueError(
                f"cannot follow route {self.name}: it needs one of to (with a weight above 0), redirect, answer"
            )

    def pick_target(self, random: "Random") -> str:
        """Return the name of an upstream, each as often as its weight says."""
        if len(self.targets) == 1:
            return self.targets[0]
        return self.targets[bisect_right(self._cumulated, random.random() * self._total)]

    def target_for(self, match: "RouteMatch", path: str, query: str) -> str:
        """Return the request target for the upstream: the path rewritten, the query as it came."""
        if self._rewrite is not None and path != "*":
            return self._rewrite.target(match.captures, path, query)
        return f"{path}?{query}" if query else path

    def redirect_to(self, match: "RouteMatch", path: str, query: str) -> bytes | None:
        """Return the Location of a redirect, None for a route that does not redirect."""
        if self._redirect is None:
            return None
        return self._redirect.location(match.captures, path, query).encode("ascii")


class RouteMatch:
    """A route that fits a request, and what its placeholders stand for."""

    __slots__ = ("captures", "route")

    def __init__(self, route: CompiledRoute, captures: dict[str, str]) -> None:
        self.route = route
        self.captures = captures


class Router:
    """The routes of one way in."""

    __slots__ = ("_always", "_by_class", "_exact", "_suffixes", "routes")

    def __init__(
        self,
        routes: "tuple[RouteSpec, ...]",
        upstreams: Container[str],
        listener: str | None = None,
    ) -> None:
        """`upstreams` are the names that a route may send to. `listener` leaves out the routes of
        other ways in. Raise ValueError, beginning with "cannot", for a route that cannot be followed.
        """
        self._take(
            tuple(
                CompiledRoute(spec, at, upstreams)
                for at, spec in enumerate(routes, 1)
                if listener is None or listener in spec.ways_in
            )
        )

    @classmethod
    def of(cls, routes: "tuple[CompiledRoute, ...]") -> "Router":
        """A router of routes that are compiled already."""
        router = cls((), ())
        router._take(routes)
        return router

    def _take(self, routes: "tuple[CompiledRoute, ...]") -> None:
        self.routes = routes
        # A first route that takes everything is all there is.
        self._always: RouteMatch | None = None
        if routes and routes[0].unconditional and _EVERY_HOST in routes[0].hosts:
            self._always = routes[0].plain
        patterns: set[str] = set()
        for route in routes:
            patterns.update(route.hosts)
        self._exact = frozenset([p for p in patterns if not p.startswith("*")])
        self._suffixes = frozenset([p[1:] for p in patterns if p.startswith("*.")])
        # Host class -> first segment (None: any) -> routes in their order.
        self._by_class: dict[str, _Segments] = {}

    def match(
        self, host: str, path: str, query: str, method: str, headers: Headers
    ) -> RouteMatch | None:
        """Return the first route that fits, None when there is none.

        `host` is the authority asked for, its port is ignored; `path` is normalised, `query` raw.
        """
        if self._always is not None:
            return self._always
        if not self.routes:
            return None
        segments = self._segments(host)
        end = path.find("/", 1)
        segment = path[1:end] if end > 0 else path[1:]
        found = segments.sorted.get(segment)
        if found is None:
            found = segments.routes_of(segment)
        for route in found:
            if route.path.kind != TEMPLATE:
                if route.path.fits(path) and (
                    route.conditions.trivial or route.conditions.hold(method, headers, query)
                ):
                    return route.plain
            else:
                captures = route.path.match(path)
                if captures is not None and route.conditions.hold(method, headers, query):
                    return RouteMatch(route, captures)
        return None

    def buckets(self, host: str) -> "dict[str | None, tuple[CompiledRoute, ...]]":
        """Return the routes that take `host`, by the first segments of their paths.

        Under None are those that are asked whatever the first segment is; the others hold them too.
        """
        segments = self._segments(host)
        return {segment: segments.routes_of(segment) for segment in (*segments.names, None)}

    def _segments(self, host: str) -> "_Segments":
        name = ""
        if self._exact or self._suffixes:
            name = self._class_of(host_without_port(host))
        segments = self._by_class.get(name)
        return self._sort(name) if segments is None else segments

    @property
    def remembered(self) -> int:
        """How many classes of hosts have been sorted, bounded by what the settings name."""
        return len(self._by_class)

    def _class_of(self, host: str) -> str:
        """Return what decides which host patterns fit: the host itself, its longest suffix, or ""."""
        if host in self._exact:
            return host
        at = host.find(".")
        while at >= 0:
            suffix = host[at:]
            if suffix in self._suffixes:
                return f"*{suffix}"
            at = host.find(".", at + 1)
        return ""

    def _sort(self, name: str) -> "_Segments":
        """Find the routes of a host class, and remember them."""
        segments = _Segments([route for route in self.routes if _has_host(route, name)])
        if len(self._by_class) >= _CLASSES_MOST:
            self._by_class.clear()
        self._by_class[name] = segments
        return segments


class _Segments:
    """The routes of a host class, sorted by the first segments of their paths as these are asked for: hundreds of segments
    at once would make the first request wait, and the others behind it.
    """

    __slots__ = ("names", "routes", "sorted")

    def __init__(self, routes: list[CompiledRoute]) -> None:
        self.routes = routes
        self.names = frozenset(r.path.segment for r in routes if r.path.segment is not None)
        self.sorted: dict[str | None, tuple[CompiledRoute, ...]] = {}

    def routes_of(self, segment: str | None) -> tuple[CompiledRoute, ...]:
        """Those that may take a path with this first segment, in their order."""
        if segment not in self.names:
            segment = None
        found = self.sorted.get(segment)
        if found is None:
            found = tuple(
                [
                    route
                    for route in self.routes
                    if route.path.segment is None or route.path.segment == segment
                ]
            )
            self.sorted[segment] = found
        return found


def _has_host(route: CompiledRoute, name: str) -> bool:
    """Return whether a route takes requests of a host class."""
    for pattern in route.hosts:
        if pattern in (_EVERY_HOST, name):
            return True
        if pattern.startswith("*.") and name.endswith(pattern[1:]):
            return True
    return False


def _rules(rules: "HeaderRules") -> FieldRules | None:
    return compile_rules(rules.set, rules.add, rules.remove)
