"""The router against the plain reading of the routes: one by one, in their order, each condition asked."""

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillion.ambassador.egress import Egress
from pillion.ambassador.rewrite import PathRewrite, Redirection
from pillion.ambassador.route_match import ANY, EXACT, PREFIX, TEMPLATE, PathPattern, host_pattern
from pillion.ambassador.router import Router
from pillion.http.codec import Headers, RequestHead, RequestParser
from pillion.http.codec.events import Limits
from pillion.http.paths import BadPathError, normalise, split_target
from pillion.settings.edges import Proxy
from pillion.settings.route_patterns import (
    check_egress_host,
    check_host_pattern,
    check_location,
    check_path_pattern,
    check_path_written,
    placeholders,
)
from pillion.settings.routes import Match, Rewrite, RouteSpec, Target

HOSTS = ["a.test", "b.a.test", "c.b.a.test", "d.test", "xa.test"]
HOST_PATTERNS = st.lists(
    st.sampled_from([*HOSTS, "*.test", "*.a.test", "*.b.a.test", "*"]), max_size=2
).map(tuple)
SEGMENT = st.sampled_from(["a", "b", "ab", "x%2Fy"])
PATHS = st.lists(SEGMENT | st.just(""), max_size=4).map(lambda parts: "/" + "/".join(parts))
PATTERNS = st.tuples(
    st.lists(SEGMENT | st.just("{}"), max_size=3), st.sampled_from(["", "/", "*", "/*"])
).map(lambda drawn: _pattern(*drawn))
METHODS = st.sampled_from(["GET", "POST"])


def _pattern(segments: list[str], end: str) -> str:
    named = [segment.replace("{}", f"{{p{at}}}") for at, segment in enumerate(segments)]
    if not named:
        return "/"
    if named[-1].endswith("}") and end == "*":
        end = ""
    return "/" + "/".join(named) + end


@st.composite
def specs(draw: st.DrawFn) -> RouteSpec:
    return RouteSpec(
        match=Match(
            host=draw(HOST_PATTERNS),
            path=draw(PATTERNS),
            methods=draw(st.sampled_from([(), ("GET",), ("GET", "POST")])),
            headers=draw(st.sampled_from([{}, {"x-a": "1"}, {"x-a": "*"}])),
            query=draw(st.sampled_from([{}, {"q": "1"}])),
        ),
        to=(Target(upstream="up"),),
    )


def plainly(
    spec: RouteSpec, host: str, path: str, query: str, method: str, field: bytes | None
) -> bool:
    """Whether a route fits, by the words of the documentation."""
    match = spec.match
    if match.host and not any(_host_fits(pattern, host) for pattern in match.host):
        return False
    if not _path_fits(match.path, path):
        return False
    if match.methods and method not in match.methods:
        return False
    if match.headers and (field is None or match.headers["x-a"] not in ("*", field.decode())):
        return False
    return not match.query or query == "q=1"


def _host_fits(pattern: str, host: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return pattern in ("*", host)


def _path_fits(pattern: str, path: str) -> bool:
    if pattern == "/":
        return True
    body = pattern.removesuffix("*")
    wanted, given_ = body.split("/")[1:], path.split("/")[1:]
    open_end = pattern.endswith(("/", "*"))
    if open_end:
        # All but the last piece are whole segments; of the last, the beginning must fit.
        if len(given_) < len(wanted):
            return False
        last, rest = wanted.pop(), "/".join(given_[len(wanted) - 0 :])
        if not rest.startswith(last):
            return False
        given_ = given_[: len(wanted)]
    if len(wanted) != len(given_):
        return False
    return all(
        have != "" if want.startswith("{") else have == want
        for want, have in zip(wanted, given_, strict=True)
    )


@given(
    st.lists(specs(), max_size=8),
    st.lists(
        st.tuples(
            st.sampled_from(HOSTS),
            PATHS,
            st.sampled_from(["", "q=1"]),
            METHODS,
            st.sampled_from([None, b"1", b"2"]),
        ),
        min_size=1,
        max_size=5,
    ),
)
def test_the_router_reads_routes_as_people_do(
    routes: list[RouteSpec], requests: list[tuple[str, str, str, str, bytes | None]]
) -> None:
    router = Router(tuple(routes), ("up",))
    for host, path, query, method, field in requests:
        headers = Headers([] if field is None else [(b"x-a", field)])
        match = router.match(f"{host.upper()}:80", path, query, method, headers)
        wanted = [
            f"#{at}"
            for at, spec in enumerate(routes, 1)
            if plainly(spec, host, path, query, method, field)
        ]
        assert (match.route.name if match else None) == (wanted[0] if wanted else None)


RAW = st.lists(
    st.sampled_from(
        ["a", "/", ".", "..", "%2F", "%2e", "%2E%2E", "%41", "//", "%00", "%zz", ";", "?x", "%25"]
    ),
    max_size=8,
).map(lambda parts: "/" + "".join(parts))


@given(RAW, st.sampled_from([Rewrite(), Rewrite(prefix="/new/"), Rewrite(prefix="/")]))
def test_what_is_matched_is_what_is_sent(raw: str, rewrite: Rewrite) -> None:
    try:
        path, query = split_target(raw)
        path = normalise(path)
    except BadPathError:
        return
    router = Router(
        (RouteSpec(match=Match(path="/a/"), to=(Target(upstream="up"),), rewrite=rewrite),), ("up",)
    )
    match = router.match("h", path, query, "GET", Headers([]))
    if match is None:
        return
    target = match.route.target_for(match, path, query)
    parser = RequestParser(Limits())
    parser.receive(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    head = parser.next_event()
    assert isinstance(head, RequestHead)
    sent, kept = split_target(target)
    assert normalise(sent) == sent  # no second reading is left for the other side
    assert kept == query
    if rewrite == Rewrite():
        assert sent == path


@given(st.lists(st.integers(0, 20), min_size=1, max_size=5).filter(any), st.integers(0, 10))
def test_weights_are_shares(weights: list[int], seed: int) -> None:
    names = [f"u{at}" for at in range(len(weights))]
    to = tuple(
        Target(upstream=name, weight=weight) for name, weight in zip(names, weights, strict=True)
    )
    route = Router((RouteSpec(to=to),), names).routes[0]
    random = Random(seed)
    counts = Counter(route.pick_target(random) for _ in range(3000))
    for name, weight in zip(names, weights, strict=True):
        assert counts[name] / 3000 == pytest.approx(weight / sum(weights), abs=0.06)
        assert (counts[name] == 0) >= (weight == 0)


LABELS = st.lists(st.sampled_from(["a", "b", "org"]), min_size=1, max_size=4)


@given(LABELS, LABELS, st.sampled_from([str.upper, str.lower]))
def test_a_wildcard_of_egress_is_any_depth_below(
    below: list[str], domain: list[str], spell: Callable[[str], str]
) -> None:
    egress = Egress(Proxy(egress="list", hosts=("*." + ".".join(domain),)))
    assert egress.allows(spell(".".join([*below, *domain])), 80)
    assert egress.allows(".".join([*below, *domain]) + ".", 80)
    fits = len(below) > len(domain) and below[-len(domain) :] == domain
    assert egress.allows(".".join(below), 80) is fits


PIECES = st.sampled_from(
    ["/", "/", "a", "{id}", "{", "}", "*", "%2F", "%4", "%00", "%", ".", "..", "é", "?", "#", " ", "x.y", ":80", "[::1]", "http://", "-", "_", '"', "*."]
)  # fmt: skip
TEXTS = st.one_of(st.lists(PIECES, max_size=6).map("".join), st.text(max_size=8))


def accepted(check: Callable[[str], object], text: str) -> bool:
    try:
        check(text)
    except ValueError:
        return False
    return True


@given(TEXTS, TEXTS)
def test_what_the_settings_accept_can_be_followed(path: str, other: str) -> None:
    # Otherwise a file that `check` has praised would be refused by every worker.
    if accepted(check_path_pattern, path):
        pattern = PathPattern(path)
        assert pattern.kind in (ANY, EXACT, PREFIX, TEMPLATE)
        if accepted(check_path_written, other) and set(placeholders(other)) <= set(pattern.names):
            PathRewrite(pattern, other, "")
            if pattern.open_end:
                PathRewrite(pattern, "", other)
        if accepted(check_location, other) and set(placeholders(other)) <= set(pattern.names):
            Redirection(pattern, other)
    if accepted(check_host_pattern, path):
        host_pattern(path)
    if accepted(check_egress_host, path):
        Egress(Proxy(egress="list", hosts=(path,)))
