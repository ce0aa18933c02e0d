"""The ambassador's sections as users write them: the designed text, the short forms, and what is said of a slip."""

import pytest

from pillion.settings import Settings, SettingsError, diff, from_json, parse, to_json
from pillion.settings.ambassador import Ambassador
from pillion.settings.edges import Inbound
from pillion.settings.routes import RouteRetry, RouteTimeouts, Target
from pillion.settings.upstream_urls import split_upstream_url
from pillion.settings.upstreams import (
    ActiveCheck,
    Breaker,
    Limit,
    Retry,
    Timeouts,
    Upstream,
    upstream_variable,
)

DESIGNED = """
[app]
name = "shop"
port = 3000

[ambassador]
workers = 1
proxy = { listen = "127.0.0.1:0", env = true, egress = "allow" }

[ambassador.upstreams.orders]
service = "orders"                  # from discovery; or urls = ["https://…", "tcp://db:5432"]
listen = "127.0.0.1:5001"           # optional: a local port of its own
balance = "least-request"
timeout = { connect = "1s", try = "2s", total = "5s" }
retry = { attempts = 2, budget = "20%" }
breaker = { consecutive = 5, ratio = "50%", window = "10s", open = "10s" }
limit = { concurrency = 100, queue = 50, rate = "200/s" }

[[ambassador.routes]]
match = { host = "shop.internal", path = "/v2/" }
to = [{ upstream = "orders", weight = 90 }, { upstream = "orders-next", weight = 10 }]

[inbound]
listen = "0.0.0.0:8080"             # in front of app.port
"""
NEXT = '\n[ambassador.upstreams.orders-next]\nservice = "orders-next"\n'


def upstream(text: str) -> Upstream:
    """The upstream `x` that these lines say."""
    return parse(f"[ambassador.upstreams.x]\n{text}\n").ambassador.upstreams["x"]


def problems(text: str) -> list[str]:
    """What `parse` says of a text that it refuses."""
    with pytest.raises(SettingsError) as refused:
        parse(text)
    return [str(one).removeprefix("pillion.toml:") for one in refused.value.problems]


def test_the_designed_text() -> None:
    settings = parse(DESIGNED + NEXT)
    ambassador = settings.ambassador
    assert ambassador.workers == 1
    assert ambassador.proxy is not None
    assert (ambassador.proxy.listen, ambassador.proxy.env) == ("127.0.0.1:0", True)
    orders = ambassador.upstreams["orders"]
    assert (orders.service, orders.listen, orders.protocol) == ("orders", "127.0.0.1:5001", "http")
    assert orders.timeout == Timeouts(connect_s=1.0, try_s=2.0, total_s=5.0)
    assert orders.retry == Retry(attempts=2, budget=0.2)
    assert orders.breaker == Breaker(consecutive=5, ratio=0.5, window_s=10.0, open_s=10.0)
    assert orders.limit == Limit(concurrency=100, queue=50, rate=200.0)
    (route,) = ambassador.routes
    assert (route.match.host, route.match.path) == (("shop.internal",), "/v2/")
    assert route.to == (
        Target(upstream="orders", weight=90),
        Target(upstream="orders-next", weight=10),
    )
    assert route.ways_in == ("proxy",)
    assert settings.inbound == Inbound(listen="0.0.0.0:8080")
    assert from_json(to_json(settings)) == settings


def test_the_designed_text_names_an_upstream_that_must_be_there() -> None:
    assert problems(DESIGNED) == [
        (
            '21: ambassador.routes[0].to[1].upstream: cannot use "orders-next": no such upstream; '
            'expected one of "orders"; did you mean "orders"?'
        )
    ]


def test_without_a_word_nothing_of_it_runs() -> None:
    settings = parse("")
    assert settings.ambassador == Ambassador()
    assert (settings.ambassador.proxy, settings.inbound) == (None, None)
    assert not settings.uses_ambassador
    assert not parse("[ambassador]\nworkers = 2\n").uses_ambassador


@pytest.mark.parametrize(
    "text",
    [
        "ambassador.proxy = {}",
        "ambassador.upstreams.x.service = 'x'",
        "app.port = 1\ninbound = '127.0.0.1:2'",
    ],
)
def test_each_of_these_makes_it_run(text: str) -> None:
    assert parse(text).uses_ambassador


def test_defaults_of_an_upstream() -> None:
    held = upstream("service = 'x'")
    assert (held.listen, held.protocol, held.balance) == ("127.0.0.1:0", "http", "least-request")
    assert (held.timeout.connect_s, held.timeout.try_s) == (1.0, 15.0)
    assert (held.timeout.idle_s, held.timeout.total_s) == (60.0, 30.0)
    assert (held.retry.attempts, held.retry.on) == (1, ("connect", "reset", "unavailable"))
    assert (held.breaker.consecutive, held.breaker.ratio, held.breaker.share) == (5, 0.5, 0.5)
    assert held.pool.idle_s == 4.0
    assert (held.check, held.tls, held.fault, held.proxy_protocol) == (None, None, None, "off")


def test_inbound_adds_no_policy_of_its_own() -> None:
    inbound = parse("[app]\nport = 3000\n[inbound]\nlisten = '127.0.0.1:8080'\n").inbound
    assert inbound is not None
    assert (inbound.retry.attempts, inbound.breaker.consecutive, inbound.breaker.ratio) == (
        0,
        0,
        None,
    )
    assert (inbound.timeout.try_s, inbound.timeout.total_s, inbound.timeout.idle_s) == (0, 0, 60)
    app = inbound.upstream(3000)
    assert (app.urls, app.listen, app.retry.attempts) == (("http://127.0.0.1:3000",), None, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("urls = 'http://h'", Upstream(urls=("http://h",))),
        ("urls = ['tcp://db:5432']", Upstream(urls=("tcp://db:5432",), protocol="tcp")),
        (
            "urls = ['tcp://db:1', 'unix:/run/x']",
            Upstream(urls=("tcp://db:1", "unix:/run/x"), protocol="tcp"),
        ),
        ("urls = 'unix:/run/x'", Upstream(urls=("unix:/run/x",))),
        ("dns = 'db:1'\nprotocol = 'grpc'", Upstream(dns="db:1", protocol="tcp")),
        ("service = 'x'\nlisten = 'off'", Upstream(service="x", listen=None)),
        ("service = 'x'\ntimeout = '5s'", Upstream(service="x", timeout=Timeouts(total_s=5.0))),
        (
            "service = 'x'\ntimeout = { try = 'none' }",
            Upstream(service="x", timeout=Timeouts(try_s=0.0)),
        ),
        ("service = 'x'\nretry = 3", Upstream(service="x", retry=Retry(attempts=3))),
        ("service = 'x'\nretry = 'off'", Upstream(service="x", retry=Retry(attempts=0))),
        ("service = 'x'\nretry = { on = '5xx' }", Upstream(service="x", retry=Retry(on=("5xx",)))),
        (
            "service = 'x'\nbreaker = 'off'",
            Upstream(service="x", breaker=Breaker(consecutive=0, ratio=None)),
        ),
        (
            "service = 'x'\nbreaker = { ratio = 'off' }",
            Upstream(service="x", breaker=Breaker(ratio=None)),
        ),
        (
            "service = 'x'\nlimit = { rate = '600/m', client_rate = 'none' }",
            Upstream(service="x", limit=Limit(rate=10.0)),
        ),
        (
            "service = 'x'\ncheck = '/healthz'",
            Upstream(service="x", check=ActiveCheck(http="/healthz")),
        ),
        (
            "service = 'x'\ncheck = { http = '/', status = 204 }",
            Upstream(service="x", check=ActiveCheck(http="/", status=("204",))),
        ),
        ("service = 'x'\nbalance = 'leastconn'", Upstream(service="x")),
        (
            "service = 'x'\nbalance = 'ring_hash'\nhash = 'cookie:sid'",
            Upstream(service="x", balance="hash", hash="cookie:sid"),
        ),
    ],
)
def test_short_forms(text: str, expected: Upstream) -> None:
    assert upstream(text) == expected


def test_an_upstream_by_its_url_alone() -> None:
    text = "[ambassador.upstreams]\norders = 'https://orders.example'\ndb = ['tcp://a:1', 'tcp://b:1']\n"
    found = parse(text).ambassador.upstreams
    assert found["orders"].urls == ("https://orders.example",)
    assert (found["db"].urls, found["db"].protocol) == (("tcp://a:1", "tcp://b:1"), "tcp")


def test_a_route_in_short() -> None:
    text = (
        "[ambassador.upstreams.x]\nservice = 'x'\n[ambassador]\nproxy = {}\n"
        "[[ambassador.routes]]\nmatch = '/a/'\nto = 'x'\ntimeout = '2s'\nretry = 'off'\n"
        "[[ambassador.routes]]\nmatch = { methods = 'GET' }\nredirect = 'https://h/'\n"
        "[[ambassador.routes]]\nanswer = 404\nlistener = 'x'\n"
    )
    one, two, three = parse(text).ambassador.routes
    assert (one.match.path, one.to) == ("/a/", (Target(upstream="x"),))
    assert (one.timeout, one.retry) == (RouteTimeouts(total_s=2.0), RouteRetry(attempts=0))
    assert two.redirect is not None
    assert (two.match.methods, two.redirect.to, two.redirect.status) == (
        ("GET",),
        "https://h/",
        308,
    )
    assert three.answer is not None
    assert (three.answer.status, three.ways_in) == (404, ("x",))


def test_a_route_says_what_differs() -> None:
    upstreams = Timeouts(try_s=2.0, total_s=5.0)
    assert RouteTimeouts(total_s=60.0).over(upstreams) == Timeouts(try_s=2.0, total_s=60.0)
    assert RouteTimeouts(try_s=0.0).over(upstreams) == Timeouts(try_s=0.0, total_s=5.0)
    assert RouteTimeouts().over(upstreams) is upstreams
    assert RouteRetry(on=("5xx",)).over(Retry(budget=0.1)) == Retry(on=("5xx",), budget=0.1)


def test_hosts_are_compared_without_case() -> None:
    text = "[ambassador]\nproxy = { egress = 'list', hosts = '*.Example.org' }\n"
    text += (
        "[[ambassador.routes]]\nmatch = { host = ['Shop.Internal', '[::1]', '*'] }\nanswer = 200\n"
    )
    ambassador = parse(text).ambassador
    assert ambassador.routes[0].match.host == ("shop.internal", "[::1]", "*")
    assert ambassador.proxy is not None
    assert ambassador.proxy.hosts == ("*.example.org",)


@pytest.mark.parametrize(
    ("text", "scheme", "authority", "port"),
    [
        ("http://h", "http", "h", 80),
        ("https://h:8443/", "https", "h:8443", 8443),
        ("https://h:443", "https", "h", 443),
        ("http://[::1]", "http", "[::1]", 80),
        ("http://[::1]:81", "http", "[::1]:81", 81),
        ("tcp://10.0.0.1:5432", "tcp", "10.0.0.1:5432", 5432),
        ("unix:/run/x.sock", "unix", "localhost", 0),
        ("unix:///run/x.sock", "unix", "localhost", 0),
    ],
)
def test_urls_taken_apart(text: str, scheme: str, authority: str, port: int) -> None:
    found = split_upstream_url(text)
    assert (found.scheme, found.authority, found.port) == (scheme, authority, port)
    assert found.path == ("/run/x.sock" if scheme == "unix" else "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ftp://h", "neither http://"),
        ("h:80", "neither http://"),
        ("tcp://h", "no port"),
        ("tcp://[::1]", "no port"),
        ("tcp://h:1/", "a path has no place here"),
        ("http://", "no host"),
        ("http://h:0", "port 0"),
        ("http://h:99999", "not a number from 0 to 65535"),
        ("http://h/base", "a path has no place here"),
        ("http://h?x", "a query or fragment"),
        ("http://a:b@h", "credentials in a URL"),
        ("http://h h", "white space"),
        ("http://::1", "an IPv6 address needs brackets"),
        ("unix:run/x", "an absolute path"),
        ("unix://h/x", "an absolute path"),
        ("unix:/", "an absolute path"),
        ("unix:/" + "x" * 107, "107 bytes at most"),
    ],
)
def test_urls_that_are_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        split_upstream_url(text)
    assert why in problems(f"[ambassador.upstreams]\nx = '{text}'\n")[0]


@pytest.mark.parametrize(
    ("name", "variable"),
    [("orders", "PILLION_UPSTREAM_ORDERS"), ("a-b.c", "PILLION_UPSTREAM_A_B_C")],
)
def test_the_variable_of_an_upstream(name: str, variable: str) -> None:
    assert upstream_variable(name) == variable


@pytest.mark.parametrize(
    ("written", "near"),
    [
        ("200", '"200/s"'),
        ("'200'", '"200/s"'),
        ("'200r/s'", '"200/s"'),
        ("'200 rps'", None),
        ("'1000/minute'", '"1000/m"'),
        ("'0/s'", None),
        ("'1.5/s'", None),
        ("'/s'", None),
        ("true", None),
        ("-1", None),
    ],
)
def test_rates_that_are_none(written: str, near: str | None) -> None:
    (problem,) = problems(
        f"[ambassador.upstreams.x]\nservice = 'x'\nlimit = {{ rate = {written} }}\n"
    )
    assert problem.startswith("3: ambassador.upstreams.x.limit.rate: cannot use")
    assert 'expected a rate such as "200/s", "1000/m" or "60/h", or "none"' in problem
    assert problem.partition("; did you mean ")[2] == (f"{near}?" if near else "")


@pytest.mark.parametrize(
    ("lines", "near"),
    [
        ("outlier_detection = {}", "breaker"),
        ("circuit_breaker = {}", "breaker"),
        ("lb_policy = 'x'", "balance"),
        ("server = 'x'", "urls"),
        ("servers = ['x']", "urls"),
        ("health_check = {}", "check"),
        ("retries = 3", "retry"),
        ("retry = { num_retries = 3 }", "retry.attempts"),
        ("retry = { retry_on = '5xx' }", "retry.on"),
        ("timeout = { per_try_timeout = '1s' }", "timeout.try"),
        ("breaker = { max_ejection_percent = 10 }", "breaker.share"),
        ("breaker = { max_fails = 3 }", "breaker.consecutive"),
        ("limit = { maxconn = 3 }", "limit.concurrency"),
        ("limit = { max_pending_requests = 3 }", "limit.queue"),
        ("pool = { keepalive_timeout = '4s' }", "pool.idle"),
        ("tls = { sni = 'x' }", "tls.server_name"),
        ("tls = { insecure_skip_verify = true }", "tls.verify"),
        ("dns_refresh_rate = '5s'", "dns_interval"),
        ("send_proxy = true", "proxy_protocol"),
        ("slowstart = '5s'", "slow_start"),
        ("fault = { fixed_delay = '1s' }", "fault.delay"),
        ("connect_timeout = '1s'", "timeout.connect"),
        ("keepalive_requests = 5", "pool.requests"),
    ],
)
def test_other_proxies_names_are_understood_in_the_suggestion(lines: str, near: str) -> None:
    (problem,) = problems(f"[ambassador.upstreams.x]\n{lines}\n")
    assert problem.endswith(f"unknown setting; did you mean ambassador.upstreams.x.{near}?")


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("[ambassador.clusters.x]\nservice = 'x'\n", "ambassador.upstreams"),
        ("[ambassador.orders]\nservice = 'x'\n", "ambassador.upstreams.orders"),
        ("[ambassador]\naccess_log = false\n", "ambassador.log"),
        ("[ambassador]\nworker_processes = 2\n", "ambassador.workers"),
        ("[ambassador.http]\nclient_max_body_size = '1M'\n", "ambassador.http.body"),
        ("[ambassador.http]\nunderscores_in_headers = true\n", "ambassador.http.underscores"),
        ("[ambassador.http]\nxff_num_trusted_hops = 1\n", "ambassador.http.trusted_hops"),
        (
            "[[ambassador.routes]]\nredirect = '/'\nprefix = '/x'\n",
            "ambassador.routes[0].match.path",
        ),
        ("[[ambassador.routes]]\ndirect_response = 200\n", "ambassador.routes[0].answer"),
        ("[[ambassador.routes]]\ncluster = 'x'\n", "ambassador.routes[0].to"),
        (
            "[[ambassador.routes]]\nrewrite = { prefix_rewrite = '/' }\n",
            "ambassador.routes[0].rewrite.prefix",
        ),
        ("[inbound]\nlisten = '127.0.0.1:1'\naccept_proxy = true\n", "inbound.proxy_protocol"),
        (
            "[inbound]\nlisten = '127.0.0.1:1'\n[inbound.tls]\ncert_file = 'a'\nkey_file = 'b'\nclient_ca = 'c'\n",
            "inbound.tls.client_ca_file",
        ),
        ("[ingress]\nlisten = '127.0.0.1:1'\n", "inbound"),
    ],
)
def test_names_that_are_near(text: str, near: str) -> None:
    (problem,) = problems(text)
    assert problem.endswith(f"unknown setting; did you mean {near}?")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("match = { path = 'v2/' }", "a path begins with /"),
        ("match = { path = '/a*/b' }", "a * stands at the end"),
        ("match = { path = '/a%zz' }", "a % begins an escape"),
        ("match = { path = '/a%00' }", "a % begins an escape"),
        ("match = { path = '/a/../b' }", "after normalisation"),
        ("match = { path = '/a?b' }", "match has query"),
        ("match = { path = '/a b' }", "%20"),
        ("match = { path = '/u-{id}' }", "one whole part of the path"),
        ("match = { path = '/{}' }", "one whole part of the path"),
        ("match = { path = '/{a}/{a}' }", "stands there twice"),
        ("match = { host = 'h:80' }", "without its port"),
        ("match = { host = 'http://h' }", "a host, not a URL"),
        ("match = { host = 'a.*.b' }", "in front of a domain"),
        ("match = { host = 'a b' }", "not a host name"),
        ("match = { methods = ['get'] }", '"GET"'),
        ("match = { methods = ['G T'] }", "not a method"),
        ("match = { headers = { host = 'x' } }", "use match.host"),
        ("match = { headers = { 'a b' = 'x' } }", "not the name of a header"),
        ("match = { query = { 'a=b' = 'x' } }", "not the name of a query parameter"),
        ("request_headers = { set = { host = 'x' } }", "use rewrite.host"),
        ("request_headers = { add = { te = 'x' } }", "belongs to the connection"),
        ("response_headers = { remove = ['content-length'] }", "Pillion's own"),
        ('response_headers = { set = { a = "x\\r\\ny: z" } }', "a control character"),
        ("rewrite = { path = 'x' }", "a path begins with /"),
        ("redirect = 'ftp://h'", "neither a path nor"),
        ("redirect = '//h'", "neither a path nor"),
        ("redirect = 'https://h?x'", "a / before anything else"),
        ("redirect = 'https://{h}/'", "a host of its own"),
        ("redirect = '/a{'", "braces hold a name"),
        ("redirect = '/a}'", "braces hold a name"),
        ("redirect = '/é'", "not ASCII"),
        ("rewrite = { host = 'é' }", "xn--"),
        ("rewrite = { path = '/{a b}' }", "%20"),
        ("redirect = { to = '/', status = 304 }", "one of 301, 302, 303, 307 and 308"),
        ("redirect = { status = 302 }", "cannot do without to"),
        ("answer = 99", "a status from 200 to 599"),
        (f"answer = {{ body = '{'x' * 65537}' }}", "longer than 64K"),
        ("to = [{ weight = 3 }]", "cannot do without upstream"),
        ("fault = { abort = 100 }", "a status from 200 to 599"),
    ],
)
def test_values_that_a_route_cannot_use(line: str, why: str) -> None:
    text = f"[[ambassador.routes]]\n{line}\n"
    (problem,) = problems(text)
    assert problem.startswith(("2: ambassador.routes[0].", "1: ambassador.routes[0]."))
    assert why in problem


@pytest.mark.parametrize(
    "line",
    [
        "proxy = 'off'",
        "proxy = true",
        "proxy = { hosts = ['http://h'] }",
        "proxy = { hosts = ['h:0'] }",
        "proxy = { connect_ports = ['443'] }",
        "proxy = { connect_ports = 443 }",
        "proxy = { egress = 'some' }",
        "http = { target = '10B' }",
        "http = { forwarded = ['via'] }",
        "log = { headers = ['a b'] }",
        "trace = { sample = 2 }",
        "workers = 0",
    ],
)
def test_values_that_the_ambassador_cannot_use(line: str) -> None:
    (problem,) = problems(f"[ambassador]\n{line}\n")
    assert problem.startswith("2: ambassador.")
    assert "cannot use" in problem


@pytest.mark.parametrize(
    ("before", "after", "restart"),
    [
        ("workers = 1", "workers = 2", ""),
        ("heartbeat = '12s'", "heartbeat = '5s'", "ambassador"),
        ("drain = '1s'", "drain = '2s'", ""),
        ("proxy = { env = true }", "proxy = { env = false }", "app"),
        ("proxy = { egress = 'allow' }", "proxy = { egress = 'deny' }", ""),
        ("", "proxy = {}", ""),
        ("upstreams.x.service = 'a'", "upstreams.x.service = 'b'", ""),
        ("upstreams.x = 'http://a'", "upstreams.x = 'http://b'", ""),
        (
            "upstreams.x = { service = 'a', listen = '127.0.0.1:1' }",
            "upstreams.x = { service = 'a', listen = '127.0.0.1:2' }",
            "app",
        ),
        ("log = true", "log = false", ""),
        ("http = { trusted_hops = 0 }", "http = { trusted_hops = 1 }", ""),
    ],
)
def test_what_a_change_takes(before: str, after: str, restart: str) -> None:
    (change,) = diff(parse(f"[ambassador]\n{before}\n"), parse(f"[ambassador]\n{after}\n"))
    assert change.restart == restart


def test_weights_and_new_upstreams_are_changed_live() -> None:
    old, new = parse(DESIGNED + NEXT), parse(DESIGNED.replace("10 }", "50 }") + NEXT)
    (weight,) = diff(old, new)
    assert (weight.path, weight.live) == ("ambassador.routes[0].to[1].weight", True)
    (added,) = diff(parse(""), parse(NEXT))
    assert (added.path, added.live) == ("ambassador.upstreams.orders-next", True)
    (gone,) = diff(
        parse("[app]\nport = 1\ninbound = '127.0.0.1:2'\n".replace("[app]\nport", "app.port")),
        parse("app.port = 1"),
    )
    assert (gone.path, gone.new, gone.live) == ("inbound", None, True)


def test_overrides() -> None:
    settings = parse(
        DESIGNED + NEXT,
        [
            "ambassador.upstreams.orders.timeout.total=1m",
            "ambassador.routes.0.to.1.weight=0",
            "ambassador.upstreams.extra=http://h",
            "ambassador.upstreams.short.urls=http://h",
        ],
    )
    upstreams = settings.ambassador.upstreams
    assert upstreams["orders"].timeout == Timeouts(connect_s=1.0, try_s=2.0, total_s=60.0)
    assert settings.ambassador.routes[0].to[1].weight == 0
    assert upstreams["extra"].urls == upstreams["short"].urls == ("http://h",)


def test_an_override_beside_a_short_form() -> None:
    text = "[ambassador.upstreams.x]\nservice = 'x'\ntimeout = '5s'\n"
    held = parse(text, ["ambassador.upstreams.x.timeout.try=1s"]).ambassador.upstreams["x"]
    assert held.timeout == Timeouts(total_s=5.0, try_s=1.0)


def test_json_of_another_version() -> None:
    text = to_json(parse(DESIGNED + NEXT)).replace('"balance":', '"later":1,"balance":')
    assert from_json(text) == parse(DESIGNED + NEXT)
    assert from_json('{"inbound": null, "ambassador": {"routes": []}}') == Settings()
