"""Fields and routes as installed (compiled where a compiler was) and from their Python sources: the same answers."""

import importlib.machinery
import importlib.util
import os
from types import ModuleType

from hypothesis import given
from hypothesis import strategies as st
from test_ambassador_fields_properties import (
    FIELDS,
    FLAGS,
    HOPS,
    UNDERSCORES,
    lines_of,
    read_request,
)
from test_ambassador_router_properties import HOSTS, METHODS, PATHS, specs

import pillion.ambassador
from pillion.ambassador import fields, forwarded, rewrite, route_match, router
from pillion.ambassador.field_rules import compile_rules
from pillion.http.codec import CodecError, Headers, Limits, ResponseHead, ResponseParser
from pillion.settings.routes import Rewrite, RouteSpec

_FOLDER = os.path.dirname(str(pillion.ambassador.__file__))


def _source(module: ModuleType) -> ModuleType:
    """The module of the same name, from its .py file; what it imports is what is installed."""
    name = module.__name__.rpartition(".")[2]
    loader = importlib.machinery.SourceFileLoader(
        f"ambassador_source_{name}", f"{_FOLDER}/{name}.py"
    )
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    made = importlib.util.module_from_spec(spec)
    loader.exec_module(made)
    return made


FIELDS_SOURCE, FORWARDED_SOURCE = _source(fields), _source(forwarded)
MATCH_SOURCE, REWRITE_SOURCE, ROUTER_SOURCE = (
    _source(route_match),
    _source(rewrite),
    _source(router),
)
RULES = (
    None,
    compile_rules({"X-A": "set"}, {"Cookie": "c=3"}, ["forwarded", "traceparent", "x-gone"]),
)


@given(
    FIELDS, HOPS, FLAGS, UNDERSCORES, st.sampled_from(RULES), st.sampled_from([b"POST", b"OPTIONS"])
)
def test_requests(
    lines: list[tuple[str, str]],
    hops: int,
    flags: int,
    underscores: int,
    rules: object,
    method: bytes,
) -> None:
    head = read_request(lines, method + b" / HTTP/1.1")
    if head is None:
        return
    said = []
    for module in (fields, FIELDS_SOURCE):
        try:
            said.append(
                module.request_block(
                    head, b"up", b"::1", b"https", hops, flags, underscores, b"", rules
                )
            )
        except CodecError as error:
            said.append((error.status, error.reason))
    assert said[0] == said[1]
    asked = head.headers, b"192.0.2.1", hops, flags
    assert forwarded.client_address(*asked) == FORWARDED_SOURCE.client_address(*asked)


@given(FIELDS, st.sampled_from(RULES))
def test_answers(lines: list[tuple[str, str]], rules: object) -> None:
    parser = ResponseParser(Limits())
    parser.expect("GET")
    parser.receive(b"\r\n".join([b"HTTP/1.1 200 OK", *lines_of(lines), b"", b""]))
    try:
        head = parser.next_event()
    except CodecError:
        return
    assert isinstance(head, ResponseHead)
    said = []
    for module in (fields, FIELDS_SOURCE):
        try:
            said.append(module.response_block(head, rules))
        except CodecError as error:
            said.append((error.status, error.reason))
    assert said[0] == said[1]


@given(
    st.lists(specs(), max_size=6),
    st.sampled_from(HOSTS),
    PATHS,
    METHODS,
    st.sampled_from(["", "q=1"]),
)
def test_routes(routes: list[RouteSpec], host: str, path: str, method: str, query: str) -> None:
    said: list[object] = []
    for module in (router, ROUTER_SOURCE):
        made = module.Router(tuple(routes), ("up",))
        match = made.match(host, path, query, method, Headers([(b"x-a", b"1")]))
        if match is not None:
            target = match.route.target_for(match, path, query)
            said.append((match.route.name, match.captures, target))
        else:
            said.append(None)
    assert said[0] == said[1]


@given(
    specs(),
    PATHS,
    st.sampled_from([Rewrite(prefix="/n"), Rewrite(path="/x/y"), Rewrite(prefix="/")]),
)
def test_paths_and_rewrites(spec: RouteSpec, path: str, change: Rewrite) -> None:
    said = []
    for module in (route_match, MATCH_SOURCE):
        pattern = module.PathPattern(spec.match.path)
        captures = pattern.match(path)
        said.append((captures, None if captures is None else pattern.rest(path)))
    assert said[0] == said[1]
    pattern = route_match.PathPattern(spec.match.path)
    captures = pattern.match(path)
    if captures is None or (change.prefix and not pattern.open_end):
        return
    made = (
        module.PathRewrite(pattern, change.path, change.prefix)
        for module in (rewrite, REWRITE_SOURCE)
    )
    first, second = (one.target(captures, path, "q") for one in made)
    assert first == second
