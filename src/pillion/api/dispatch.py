"""From method and path to a route: a dictionary for exact paths, then a small tree of segments, both made once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pillion.http.paths import decode_segment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pillion.api.route import Route


@dataclass(slots=True)
class Methods:
    """The routes of one path by method, HEAD where there is GET, and the Allow field that lists them."""

    routes: dict[str, Route] = field(default_factory=dict)
    allow: bytes = b""

    def add(self, route: Route) -> None:
        """Take in a route; two with the same method and path are a mistake in the table."""
        assert route.method not in self.routes or route.method == "HEAD", route
        self.routes[route.method] = route
        if route.method == "GET":
            self.routes.setdefault("HEAD", route)
        self.allow = ", ".join(sorted(self.routes)).encode()


@dataclass(slots=True)
class _Node:
    exact: dict[str, _Node] = field(default_factory=dict)
    any: _Node | None = None
    methods: Methods | None = None


class Dispatch:
    """The compiled table."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, Methods] = {}
        self._root = _Node()
        for route in routes:
            if "{" in route.path:
                self._plant(route)
            else:
                self._exact.setdefault(route.path, Methods()).add(route)

    def find(self, path: str) -> tuple[Methods, tuple[str, ...]] | None:
        """The routes of a normalised `path`, with the decoded segments that its template leaves open.

        Raises `BadPathError` when such a segment's escapes are not UTF-8.
        """
        methods = self._exact.get(path)
        if methods is not None:
            return methods, ()
        node: _Node | None = self._root
        values: list[str] = []
        for segment in path.split("/")[1:]:
            assert node is not None
            child = node.exact.get(segment)
            if child is None:
                child = node.any
                if child is None or not segment:
                    return None
                values.append(decode_segment(segment))
            node = child
        if node is None or node.methods is None:
            return None
        return node.methods, tuple(values)

    def _plant(self, route: Route) -> None:
        node = self._root
        for segment in route.path.split("/")[1:]:
            if segment.startswith("{"):
                if node.any is None:
                    node.any = _Node()
                node = node.any
            else:
                node = node.exact.setdefault(segment, _Node())
        if node.methods is None:
            node.methods = Methods()
        node.methods.add(route)
