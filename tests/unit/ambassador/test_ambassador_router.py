from collections import Counter
from collections.abc import Mapping
from random import Random

import pytest

from pillion.ambassador.router import RouteMatch, Router
from pillion.http.codec import Headers
from pillion.settings.routes import Answer, HeaderRules, Match, Redirect, Rewrite, RouteSpec, Target

UPSTREAMS = ("orders", "orders-next", "app")
NONE = Headers([])


def route(
    name: str = "",
    *,
    to: tuple[Target, ...] | None = None,
    rewrite: Rewrite | None = None,
    **match: object,
) -> RouteSpec:
    return RouteSpec(
        name=name,
        match=Match(**match),  # type: ignore[arg-type]
        to=(Target(upstream="orders"),) if to is None else to,
        rewrite=rewrite or Rewrite(),
    )


def find(
    router: Router,
    path: str = "/",
    *,
    host: str = "shop",
    query: str = "",
    method: str = "GET",
    headers: Headers = NONE,
) -> str | None:
    match = router.match(host, path, query, method, headers)
    return None if match is None else match.route.name


def only(*specs: RouteSpec) -> Router:
    return Router(specs, UPSTREAMS)


def found(router: Router, path: str) -> RouteMatch:
    match = router.match("shop", path, "", "GET", NONE)
    assert match is not None
    return match


def test_no_routes_match_nothing() -> None:
    assert find(only()) is None


def test_the_first_in_the_file_wins() -> None:
    router = only(route("a", path="/v2/"), route("b"), route("c", path="/v2/x"))
    assert find(router, "/v2/x") == "a"
    assert find(router, "/v1") == "b"


def test_a_route_without_a_name_bears_its_number() -> None:
    assert find(only(route("a", path="/a"), route(path="/b")), "/b") == "#2"


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("/status", "/status", True),
        ("/status", "/status/", False),
        ("/status", "/Status", False),
        ("/v2/", "/v2/", True),
        ("/v2/", "/v2/x/y", True),
        ("/v2/", "/v2", False),
        ("/v2/", "/v20/x", False),
        ("/v2*", "/v2", True),
        ("/v2*", "/v2/x", True),
        ("/v2*", "/v20", True),
        ("/v2*", "/v1", False),
        ("/v2/*", "/v2/x", True),
        ("/v2/*", "/v2", False),
        ("", "/anything", True),
        ("*", "/anything", True),
        ("/", "/anything", True),
        ("/*", "*", True),
        ("/users/{id}", "/users/7", True),
        ("/users/{id}", "/users/", False),
        ("/users/{id}", "/users/7/", False),
        ("/users/{id}", "/users/7/cart", False),
        ("/users/{id}", "/users/a%2Fb", True),
        ("/users/{id}/", "/users/7/cart", True),
        ("/users/{id}/", "/users/7", False),
        ("/users/{id}/cart/*", "/users/7/cart/1", True),
        ("/{tenant}/orders", "/acme/orders", True),
        ("/{tenant}/orders", "/acme/sub/orders", False),
        ("/a.b", "/axb", False),
        ("/a%2fb", "/a%2Fb", True),
        ("/caf\u00e9", "/caf%C3%A9", True),
        ("/%61bc", "/abc", True),
    ],
)
def test_paths(pattern: str, path: str, fits: bool) -> None:
    assert (find(only(route("r", path=pattern)), path) == "r") is fits


def test_placeholders_stand_for_what_was_sent() -> None:
    match = found(only(route(path="/users/{id}/carts/{cart}")), "/users/a%2Fb/carts/7")
    assert match.captures == {"id": "a%2Fb", "cart": "7"}


@pytest.mark.parametrize(
    ("patterns", "host", "fits"),
    [
        (("shop.example",), "shop.example", True),
        (("shop.example",), "SHOP.example:8080", True),
        (("shop.example",), "shop.example.", True),
        (("shop.example",), "x.shop.example", False),
        (("*.example",), "shop.example", True),
        (("*.example",), "a.b.example:1", True),
        (("*.example",), "example", False),
        (("*.example",), "notexample", False),
        (("*",), "", True),
        ((), "anything", True),
        (("[::1]",), "[::1]:80", True),
        (("a.test", "*.b.test"), "x.b.test", True),
        (("a.test", "*.b.test"), "a.test", True),
        (("a.test", "*.b.test"), "b.test", False),
    ],
)
def test_hosts(patterns: tuple[str, ...], host: str, fits: bool) -> None:
    assert (find(only(route("r", host=patterns)), host=host) == "r") is fits


def test_hosts_exact_and_wildcard_keep_the_order_of_the_file() -> None:
    router = only(
        route("any", path="/any"),
        route("wide", host=("*.example",), path="/x"),
        route("near", host=("*.a.example",)),
        route("exact", host=("s.a.example",), path="/y"),
        route("rest"),
    )
    assert find(router, "/x", host="s.a.example") == "wide"
    assert find(router, "/y", host="s.a.example") == "near"
    assert find(router, "/z", host="t.example") == "rest"
    assert find(router, "/any", host="s.a.example") == "any"


def test_methods() -> None:
    router = only(route("w", methods=("POST", "PUT")))
    assert find(router, method="PUT") == "w"
    assert find(router, method="put") is None
    assert find(router, method="GET") is None


@pytest.mark.parametrize(
    ("wanted", "fields", "fits"),
    [
        ({"x-version": "2"}, [(b"x-version", b"2")], True),
        ({"X-Version": "2"}, [(b"x-version", b"3")], False),
        ({"x-version": "2"}, [], False),
        ({"x-version": "*"}, [(b"x-version", b"")], True),
        ({"x-version": "2"}, [(b"x-version", b"1"), (b"x-version", b"2")], True),
        ({"a": "1", "b": "2"}, [(b"a", b"1")], False),
        ({"a": "1", "b": "2"}, [(b"a", b"1"), (b"b", b"2")], True),
    ],
)
def test_header_fields(
    wanted: Mapping[str, str], fields: list[tuple[bytes, bytes]], fits: bool
) -> None:
    router = only(route("r", headers=wanted))
    assert (find(router, headers=Headers(fields)) == "r") is fits


@pytest.mark.parametrize(
    ("wanted", "query", "fits"),
    [
        ({"beta": "1"}, "beta=1", True),
        ({"beta": "1"}, "a=b&beta=0&beta=1", True),
        ({"beta": "1"}, "beta=11", False),
        ({"beta": "*"}, "beta", True),
        ({"beta": "*"}, "beta=", True),
        ({"beta": "*"}, "", False),
        ({"q": "a b"}, "q=a%20b", True),
        ({"q": "a b"}, "q=a+b", True),
        ({"q": "\u00e9"}, "q=%C3%A9", True),
        ({"q": "x"}, "q=%FF", False),
    ],
)
def test_query_parameters(wanted: Mapping[str, str], query: str, fits: bool) -> None:
    assert (find(only(route("r", query=wanted)), query=query) == "r") is fits


def test_routes_of_other_ways_in_are_left_out() -> None:
    specs = (
        RouteSpec(name="in", listener=("inbound",), to=(Target(upstream="app"),)),
        RouteSpec(
            name="both",
            listener=("inbound", "proxy"),
            match=Match(path="/b"),
            to=(Target(upstream="app"),),
        ),
        RouteSpec(name="proxy", to=(Target(upstream="orders"),)),
    )
    assert find(Router(specs, UPSTREAMS, "inbound"), "/b") == "in"
    assert find(Router(specs, UPSTREAMS, "proxy"), "/b") == "both"
    assert find(Router(specs, UPSTREAMS, "proxy"), "/c") == "proxy"
    assert find(Router(specs, UPSTREAMS, "orders"), "/c") is None


def test_weights_are_kept_in_the_long_run() -> None:
    targets = (Target(upstream="orders", weight=90), Target(upstream="orders-next", weight=10))
    compiled = only(route(to=targets)).routes[0]
    random = Random(4)
    counts = Counter(compiled.pick_target(random) for _ in range(20_000))
    assert counts["orders-next"] / 20_000 == pytest.approx(0.1, abs=0.01)
    assert set(counts) == {"orders", "orders-next"}


def test_a_weight_of_none_gets_nothing() -> None:
    targets = (Target(upstream="orders", weight=0), Target(upstream="orders-next", weight=1))
    compiled = only(route(to=targets)).routes[0]
    assert {compiled.pick_target(Random(seed)) for seed in range(50)} == {"orders-next"}


@pytest.mark.parametrize(
    ("pattern", "rewrite", "path", "query", "target"),
    [
        ("/v2/", Rewrite(), "/v2/x", "a=1&b=%20", "/v2/x?a=1&b=%20"),
        ("/v2/", Rewrite(prefix="/"), "/v2/x", "", "/x"),
        ("/v2/", Rewrite(prefix="/"), "/v2/x", "a=1", "/x?a=1"),
        ("/v2/", Rewrite(prefix="/"), "/v2/", "", "/"),
        ("/v2/", Rewrite(prefix="/"), "/v2//x", "", "//x"),
        ("/v2/", Rewrite(prefix="/api"), "/v2/x", "", "/api/x"),
        ("/v2/", Rewrite(prefix="/api"), "/v2/", "", "/api/"),
        ("/v2*", Rewrite(prefix="/api"), "/v2/x", "", "/api/x"),
        ("/v2*", Rewrite(prefix="/api/"), "/v2/x", "", "/api/x"),
        ("/v2*", Rewrite(prefix="/api"), "/v2", "", "/api"),
        ("", Rewrite(prefix="/api"), "/x/a%2Fb", "", "/api/x/a%2Fb"),
        ("/u/{id}/", Rewrite(prefix="/users/{id}"), "/u/7/cart", "", "/users/7/cart"),
        ("/u/{id}", Rewrite(path="/users/{id}/all"), "/u/a%2Fb", "q", "/users/a%2Fb/all?q"),
        ("/old", Rewrite(path="/new"), "/old", "", "/new"),
        ("/u/{id}", Rewrite(path="/x/caf\u00e9/{id}"), "/u/1", "", "/x/caf%C3%A9/1"),
        ("", Rewrite(prefix="/api"), "*", "", "*"),
    ],
)
def test_targets(pattern: str, rewrite: Rewrite, path: str, query: str, target: str) -> None:
    match = found(only(route(path=pattern, rewrite=rewrite)), path)
    assert match.route.target_for(match, path, query) == target


def test_the_host_to_send() -> None:
    router = only(route(path="/a", rewrite=Rewrite(host="orders.internal")), route(path="/b"))
    assert found(router, "/a").route.host == b"orders.internal"
    assert found(router, "/b").route.host is None


@pytest.mark.parametrize(
    ("pattern", "to", "path", "query", "location"),
    [
        ("/old", "/new", "/old", "q=1", b"/new"),
        ("", "https://shop.example/", "/a/b", "q=1", b"https://shop.example/a/b?q=1"),
        ("/old/", "/new/", "/old/a", "", b"/new/a"),
        ("/old*", "/new/", "/old/a", "", b"/new/a"),
        ("/u/{id}", "/users/{id}", "/u/a%2Fb", "", b"/users/a%2Fb"),
        ("/u/{id}", "https://a.example/users/{id}/", "/u/7", "x", b"https://a.example/users/7/?x"),
        ("", "/", "//evil.example", "", b"/evil.example"),
        ("/a/", "/", "/a///evil.example", "", b"/evil.example"),
    ],
)
def test_redirects(pattern: str, to: str, path: str, query: str, location: bytes) -> None:
    router = only(RouteSpec(match=Match(path=pattern), redirect=Redirect(to=to, status=302)))
    match = found(router, path)
    assert match.route.redirect_to(match, path, query) == location
    assert match.route.redirect_status == 302


def test_rules_of_a_route_are_compiled() -> None:
    spec = RouteSpec(to=(Target(upstream="orders"),), request_headers=HeaderRules(set={"X-A": "1"}))
    compiled = only(spec).routes[0]
    assert compiled.request_rules is not None
    assert compiled.request_rules.lines == b"x-a: 1\r\n"
    assert compiled.response_rules is None


@pytest.mark.parametrize(
    "spec",
    [
        RouteSpec(),
        RouteSpec(to=(Target(upstream="orders", weight=0),)),
        RouteSpec(to=(Target(upstream="orders"),), answer=Answer()),
        RouteSpec(to=(Target(upstream="unheard-of"),)),
        route(path="/a%zz"),
        route(path="/a%00"),
        route(path="/{a"),
        route(path="/x{a}"),
        route(path="a"),
        route(path="/*/a"),
        route(host=("a.*.b",)),
        route(host=("a:80",)),
        route(path="/a", rewrite=Rewrite(prefix="/b")),
        route(path="/{a}", rewrite=Rewrite(path="/{b}")),
        RouteSpec(redirect=Redirect(to="javascript:alert(1)")),
        RouteSpec(redirect=Redirect(to="https://{id}/"), match=Match(path="/{id}")),
        RouteSpec(redirect=Redirect(to="https://shop.example{id}"), match=Match(path="/{id}")),
        RouteSpec(redirect=Redirect(to="/{id}")),
        RouteSpec(to=(Target(upstream="orders"),), request_headers=HeaderRules(remove=("host",))),
    ],
    ids=repr,
)
def test_routes_that_cannot_be_followed(spec: RouteSpec) -> None:
    with pytest.raises(ValueError, match=r"^cannot "):
        only(spec)


def test_hundreds_of_routes_ask_only_those_that_may_fit() -> None:
    specs = [route(f"r{n}", path=f"/service-{n}/") for n in range(900)]
    specs += [route(f"h{n}", host=(f"h{n}.example",), path="/x/{id}") for n in range(99)]
    router = only(*specs, route("last"))
    assert find(router, "/service-871/x") == "r871"
    assert find(router, "/x/1", host="h98.example") == "h98"
    assert find(router, "/service-899", host="h98.example") == "last"
    sizes = [len(routes) for routes in router.buckets("shop").values()]
    assert max(sizes) == 2


def test_a_flood_of_hosts_leaves_nothing_behind() -> None:
    router = only(route("w", host=("*.example",)), route("e", host=("a.test",)))
    for n in range(5000):
        find(router, host=f"h{n}.example")
        find(router, host=f"h{n}.nowhere")
    assert router.remembered == 2
