"""From a path to its routes."""

from __future__ import annotations

import pytest

from pillion.api.dispatch import Dispatch
from pillion.api.route import Role, Route
from pillion.http.paths import BadPathError
from pillion.http.server import Response


def route(method: str, path: str) -> Route:
    return Route(method, path, Role.PUBLIC, lambda *_: Response(), "s", "d", ())


TABLE = Dispatch(
    [
        route("GET", "/a"),
        route("PUT", "/a"),
        route("POST", "/a/{name}/go"),
        route("GET", "/a/special/go"),
        route("PATCH", "/a/{name}/limits"),
        route("GET", "/c/{key+}"),
        route("GET", "/c/x/exact"),
    ]
)


def found(path: str) -> tuple[bytes, tuple[str, ...]] | None:
    result = TABLE.find(path)
    return None if result is None else (result[0].allow, result[1])


def test_exact_paths_and_head() -> None:
    assert found("/a") == (b"GET, HEAD, PUT", ())


def test_open_segments_and_exact_ones_beside_them() -> None:
    assert found("/a/x/go") == (b"POST", ("x",))
    assert found("/a/special/go") == (b"GET, HEAD", ())
    assert found("/a/x/limits") == (b"PATCH", ("x",))


@pytest.mark.parametrize(
    "path", ["", "/", "/a/", "/a//go", "/a/x", "/a/x/go/", "/a/x/go/y", "*", "/b"]
)
def test_no_such_path(path: str) -> None:
    assert found(path) is None


def test_segments_are_decoded_one_by_one() -> None:
    assert found("/a/x%2Fy/go") == (b"POST", ("x/y",))
    assert found("/a/%C3%BC/go") == (b"POST", ("ü",))
    with pytest.raises(BadPathError):
        found("/a/%FF/go")


def test_the_rest_of_a_path() -> None:
    assert found("/c/x") == (b"GET, HEAD", ("x",))
    assert found("/c/x/y/z") == (b"GET, HEAD", ("x/y/z",))
    assert found("/c/x%2Fy/%C3%BC") == (b"GET, HEAD", ("x/y/ü",))
    assert found("/c/x/exact") == (b"GET, HEAD", ())
    assert found("/c/x/exact/y") == (b"GET, HEAD", ("x/exact/y",))
    assert found("/c/x/") == (b"GET, HEAD", ("x/",))
    assert found("/c/") is None
    assert found("/c") is None


def test_every_operation_has_a_name_of_its_own() -> None:
    assert (
        route("POST", "/v1/components/{name}/restart").operation == "post_components_name_restart"
    )
    assert route("GET", "/v1/openapi.json").operation == "get_openapi_json"
