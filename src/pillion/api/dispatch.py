# cython: annotation_typing=False, auto_pickle=False
"""From method and path to a route: a dictionary for exact paths, then a small tree of segments, both made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.http.paths import decode_segment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pillion.api.route import Route


class Methods:
    """The routes of one path by method, HEAD where there is GET, and the Allow field that lists them."""

    __slots__ = ("allow", "routes")

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.allow = b""

    def add(self, route: Route) -> None:
        """Take in a route; two with the same method and path are a mistake in the table."""
        assert route.method not in self.routes or route.method == "HEAD", route
        self.routes[route.method] = route
        if route.method == "GET":
            self.routes.setdefault("HEAD", route)
        self.allow = ", ".join(sorted(self.routes)).encode()


class _Node:
    __slots__ = ("any", "exact", "methods", "rest")

    def __init__(self) -> None:
        self.exact: dict[str, _Node] = {}
        self.any: _Node | None = None
        self.rest: Methods | None = None
        self.methods: Methods | None = None


class Dispatch:
    """The table, made ready to be asked."""

    __slots__ = ("_below", "_exact", "_root")

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, Methods] = {}
        self._below: dict[str, Methods] = {}
        self._root = _Node()
        for route in routes:
            if "{" in route.path:
                self._plant(route)
            else:
                self._exact.setdefault(route.path, Methods()).add(route)
        self._find_below()

    def find(self, path: str) -> tuple[Methods, tuple[str, ...]] | None:
        """The routes of a normalised `path`, with the decoded segments that its template leaves open.

        A template's exact segment wins over an open one, and that over `{name+}`, which takes one segment or more.

        Raises `BadPathError` when such a segment's escapes are not UTF-8.
        """
        methods = self._exact.get(path)
        if methods is not None:
            return methods, ()
        # The paths that are asked for most (configuration) need no walk through the tree.
        start = path.find("/", path.find("/", 1) + 1) + 1
        methods = self._below.get(path[:start])
        if methods is not None and len(path) > start and "%" not in path:
            return methods, (path[start:],)
        node = self._root
        values: list[str] = []
        segments = path.split("/")[1:]
        for index, segment in enumerate(segments):
            child = node.exact.get(segment)
            if child is None:
                child = node.any
                if child is None or not segment:
                    return self._rest(node, values, segments[index:])
                values.append(decode_segment(segment))
            node = child
        if node.methods is None:
            return None
        return node.methods, tuple(values)

    def _rest(
        self, node: _Node, values: list[str], segments: list[str]
    ) -> tuple[Methods, tuple[str, ...]] | None:
        # What an empty segment means is for the handler to say: `{name+}` takes the path as it is.
        if node.rest is None or segments == [""]:
            return None
        return node.rest, (*values, "/".join(decode_segment(segment) for segment in segments))

    def _find_below(self) -> None:
        """Note where two exact segments are followed by nothing but `{name+}`."""
        for first, one in self._root.exact.items():
            for second, two in one.exact.items():
                if two.rest is not None and not two.exact and two.any is None:
                    self._below[f"/{first}/{second}/"] = two.rest

    def _plant(self, route: Route) -> None:
        node = self._root
        for segment in route.path.split("/")[1:]:
            if segment.endswith("+}"):
                if node.rest is None:
                    node.rest = Methods()
                node.rest.add(route)
                return
            if segment.startswith("{"):
                if node.any is None:
                    node.any = _Node()
                node = node.any
            else:
                node = node.exact.setdefault(segment, _Node())
        if node.methods is None:
            node.methods = Methods()
        node.methods.add(route)
