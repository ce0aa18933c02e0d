"""What the sections of the ambassador say together: contradictions refuse the file, notices are told."""

from pathlib import Path

import pytest

from pillion.settings import SettingsError, notices, parse
from pillion.settings.checks_listeners import listeners
from pillion.settings.checks_routes import covers
from pillion.settings.problems import dotted
from pillion.settings.routes import Match

X = "[ambassador.upstreams.x]\n"
SERVICE = X + "service = 'x'\n"
PROXY = "[ambassador.proxy]\n"
ROUTE = "[[ambassador.routes]]\n"


def problems(text: str) -> list[str]:
    """What `parse` says of a text that it refuses."""
    with pytest.raises(SettingsError) as refused:
        parse(text)
    return [str(one).removeprefix("pillion.toml:") for one in refused.value.problems]


def told(text: str) -> list[tuple[str, str]]:
    """The notices of a text, as path and words."""
    return [(dotted(one.path), one.message) for one in notices(parse(text))]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            X,
            "1: ambassador.upstreams.x: cannot use none of them; expected exactly one of service, urls and dns",
        ),
        (
            X + "service = 'x'\ndns = 'x:1'\n",
            "1: ambassador.upstreams.x: cannot use service and dns; expected exactly one of service, urls and dns",
        ),
        (
            X + "urls = []\n",
            "1: ambassador.upstreams.x: cannot use none of them; expected exactly one of service, urls and dns",
        ),
        (
            X + "urls = ['http://a', 'https://b']\n",
            "2: ambassador.upstreams.x.urls: cannot mix http and https; all endpoints of an upstream are spoken to alike",
        ),
        (
            X + "urls = ['https://a', 'unix:/b']\n",
            "2: ambassador.upstreams.x.urls: cannot mix https and unix; all endpoints of an upstream are spoken to alike",
        ),
        (
            X + "urls = ['http://a', 'tcp://b:1']\n",
            "2: ambassador.upstreams.x.urls: cannot mix http and tcp; all endpoints of an upstream are spoken to alike",
        ),
        (
            X + "urls = 'https://a'\nprotocol = 'grpc'\n",
            (
                "3: ambassador.upstreams.x.protocol: cannot pass bytes to an https URL; "
                "write tcp://, with tls = {} where TLS is wanted"
            ),
        ),
        (
            X + "urls = 'tcp://a:1'\nprotocol = 'http'\n",
            "3: ambassador.upstreams.x.protocol: cannot speak HTTP to a tcp URL; write http:// or https://",
        ),
        (
            X + "urls = 'https://a'\ntls = { alpn = 'h2' }\n",
            (
                "3: ambassador.upstreams.x.tls.alpn: cannot offer this: HTTP is always offered as http/1.1; "
                'use protocol = "tcp" to pass HTTP/2'
            ),
        ),
        (
            X + "urls = 'http://a'\ntls = {}\n",
            "3: ambassador.upstreams.x.tls: cannot use TLS with these URLs; write https://",
        ),
        (
            SERVICE + "tls = { key_file = 'x' }\n",
            "3: ambassador.upstreams.x.tls.key_file: cannot use it without the other; set cert_file as well",
        ),
        (
            SERVICE + "tls = { cert_file = 'x' }\n",
            "3: ambassador.upstreams.x.tls.cert_file: cannot use it without the other; set key_file as well",
        ),
        (
            SERVICE + "balance = 'hash'\n",
            (
                "3: ambassador.upstreams.x.balance: cannot balance by hash without hash; "
                'set hash = "header:NAME", "cookie:NAME" or "address"'
            ),
        ),
        (
            SERVICE + "protocol = 'tcp'\nbalance = 'hash'\nhash = 'cookie:a'\n",
            '5: ambassador.upstreams.x.hash: cannot read headers and cookies in tcp; use "address"',
        ),
        (
            SERVICE + "check = {}\n",
            "3: ambassador.upstreams.x.check: cannot use none of them; expected exactly one of http and tcp",
        ),
        (
            SERVICE + "check = { http = '/', tcp = true }\n",
            "3: ambassador.upstreams.x.check: cannot use http and tcp; expected exactly one of http and tcp",
        ),
        (
            SERVICE + "retry = { initial = '2s', max = '1s' }\n",
            "3: ambassador.upstreams.x.retry: cannot wait longer at first than at most; raise max or lower initial",
        ),
        (
            SERVICE + "breaker = { open = '2m' }\n",
            (
                "3: ambassador.upstreams.x.breaker: cannot stay open longer at first than at most; "
                "raise open_max or lower open"
            ),
        ),
        (
            SERVICE + "breaker = { ratio = '0%' }\n",
            '3: ambassador.upstreams.x.breaker.ratio: cannot open at no failures at all; for never, write "off"',
        ),
        (
            SERVICE + "limit = { queue = 5 }\n",
            "3: ambassador.upstreams.x.limit.queue: cannot wait for a turn where any number goes at once; set concurrency",
        ),
        (
            SERVICE + "fault = { header = 'x-fault' }\n",
            "3: ambassador.upstreams.x.fault: cannot do without a fault; expected delay, abort or both",
        ),
        (
            "[ambassador.upstreams.proxy]\nservice = 'x'\n",
            "1: ambassador.upstreams.proxy: cannot use this name: it has a meaning of its own here; take another",
        ),
        (
            "[ambassador.upstreams]\na-b = 'http://x'\n'a.b' = 'http://x'\n",
            (
                '3: ambassador.upstreams."a.b": cannot tell it from a-b: '
                "both are PILLION_UPSTREAM_A_B for the app; rename one"
            ),
        ),
        (
            PROXY + "egress = 'list'\n",
            '2: ambassador.proxy.egress: cannot go by a list without hosts; set hosts, or "deny"',
        ),
        (
            "inbound = '127.0.0.1:8080'\n",
            "1: inbound: cannot stand in front of an app whose port is not known; set app.port",
        ),
        (
            "inbound = '0.0.0.0:3000'\napp.port = 3000\n",
            "1: inbound.listen: cannot listen twice on one port; give it another than app.port has",
        ),
        (
            (
                "app.port = 3000\n[inbound]\nlisten = '127.0.0.1:1'\n"
                "tls = { cert_file = 'a', key_file = 'b', allowed_names = 'x' }\n"
            ),
            (
                "4: inbound.tls.allowed_names: cannot go by the names in certificates that nobody is asked for; "
                "set client_ca_file"
            ),
        ),
        (
            "app.port = 1\n[inbound]\nlisten = '127.0.0.1:2'\nlimit = { queue = 1 }\n",
            "4: inbound.limit.queue: cannot wait for a turn where any number goes at once; set concurrency",
        ),
        (
            "[api]\nlisten = '127.0.0.1:5000'\n" + SERVICE + "listen = 'localhost:5000'\n",
            "5: ambassador.upstreams.x.listen: cannot listen twice on one port; give it another than api.listen has",
        ),
        (
            SERVICE + "listen = '[::]:5000'\n" + PROXY + "listen = '127.0.0.1:5000'\n",
            (
                "3: ambassador.upstreams.x.listen: cannot listen twice on one port; "
                "give it another than ambassador.proxy.listen has"
            ),
        ),
    ],
)
def test_contradictions(text: str, problem: str) -> None:
    assert problems(text) == [problem]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (
            "",
            "2: ambassador.routes[0]: cannot use none of them; expected exactly one of to, redirect and answer",
        ),
        (
            "to = 'x'\nanswer = 200",
            "2: ambassador.routes[0]: cannot use to and answer; expected exactly one of to, redirect and answer",
        ),
        (
            "to = 'xx'",
            '3: ambassador.routes[0].to[0].upstream: cannot use "xx": no such upstream; expected one of "x", "db", "shut"',
        ),
        (
            "to = 'db'",
            "3: ambassador.routes[0].to[0].upstream: cannot route to an upstream whose protocol is tcp",
        ),
        (
            "to = 'app'",
            (
                "3: ambassador.routes[0].to[0].upstream: cannot send to the app what does not come in by inbound; "
                'set listener = "inbound"'
            ),
        ),
        (
            "to = 'app'\nlistener = ['inbound', 'x']",
            (
                "3: ambassador.routes[0].to[0].upstream: cannot send to the app what does not come in by inbound; "
                'set listener = "inbound"'
            ),
        ),
        (
            "to = { upstream = 'x', weight = 0 }",
            "3: ambassador.routes[0].to: cannot send to none: all weights are 0",
        ),
        (
            "to = 'x'\nlistener = 'inbond'",
            (
                '4: ambassador.routes[0].listener[0]: cannot use "inbond": no such way in; '
                'expected one of "proxy", "inbound", "x", "db", "shut"; did you mean "inbound"?'
            ),
        ),
        (
            "to = 'x'\nlistener = 'db'",
            "4: ambassador.routes[0].listener[0]: cannot route what comes in by this upstream: its protocol is tcp",
        ),
        (
            "to = 'x'\nlistener = 'shut'",
            "4: ambassador.routes[0].listener[0]: cannot come in by this upstream: its listen is off",
        ),
        (
            "to = 'x'\nrewrite = { path = '/a', prefix = '/b' }",
            "4: ambassador.routes[0].rewrite: cannot use path and prefix; expected one of path and prefix, or none",
        ),
        (
            "to = 'x'\nmatch = '/a'\nrewrite = { prefix = '/b' }",
            (
                "5: ambassador.routes[0].rewrite.prefix: cannot replace a prefix where match.path is none; "
                "end it with / or *"
            ),
        ),
        (
            "to = 'x'\nmatch = '/users/{user}'\nrewrite = { path = '/u/{usr}' }",
            (
                "5: ambassador.routes[0].rewrite.path: cannot fill {usr}: match.path has no such part; "
                "did you mean {user}?"
            ),
        ),
        (
            "match = '/users/{id}'\nredirect = 'https://h/{id}?x={name}'",
            "4: ambassador.routes[0].redirect.to: cannot fill {name}: match.path has no such part",
        ),
        (
            "answer = 200\nfault = {}",
            "4: ambassador.routes[0].fault: cannot do without a fault; expected delay, abort or both",
        ),
        (
            f"answer = 200\nname = 'a'\n{ROUTE}answer = 204\nname = 'a'",
            "7: ambassador.routes[1].name: cannot use a name twice; logs and metrics go by it",
        ),
    ],
)
def test_contradictions_of_routes(lines: str, problem: str) -> None:
    whole = (
        f"ambassador.proxy = {{}}\n{ROUTE}{lines}\n[ambassador.upstreams]\nx = 'http://x'\ndb = 'tcp://db:1'\n"
        "shut = { service = 's', listen = 'off' }\n[app]\nport = 1\n[inbound]\nlisten = '127.0.0.1:2'\n"
    )
    assert problems(whole) == [problem]


def test_a_route_that_has_no_way_in() -> None:
    assert problems(SERVICE + ROUTE + "to = 'x'\n") == [
        (
            "3: ambassador.routes[0]: cannot be reached: without listener a route is the proxy's, and there is none; "
            'expected ambassador.proxy, or a listener such as "inbound" or the name of an upstream'
        )
    ]
    assert problems(SERVICE + ROUTE + "to = 'x'\nlistener = ['inbound', 'proxy']\n") == [
        "5: ambassador.routes[0].listener[0]: cannot come in by inbound: there is no [inbound]",
        "5: ambassador.routes[0].listener[1]: cannot come in by the proxy: there is no ambassador.proxy",
    ]
    assert problems(
        ROUTE
        + "to = 'x'\nlistener = 'inbound'\n[app]\nport = 1\n[inbound]\nlisten = '127.0.0.1:2'\n"
    ) == [
        '2: ambassador.routes[0].to[0].upstream: cannot use "x": no such upstream; expected one of "app"'
    ]


@pytest.mark.parametrize(
    "text",
    [
        SERVICE + "balance = 'hash'\nhash = 'header:x-user'\n",
        X + "urls = ['http://a', 'unix:/b']\n",
        X + "urls = ['tcp://a:1', 'unix:/b']\n",
        X + "urls = ['tcp://a:1']\ntls = {}\n",
        X + "urls = 'unix:/b'\nprotocol = 'tcp'\n",
        X + "dns = 'h:1'\ntls = { server_name = 'h' }\n",
        SERVICE + "check = { tcp = true }\n",
        SERVICE + "listen = 'off'\n[app.env]\nPILLION_UPSTREAM_X = 'y'\n",
        SERVICE + "limit = { rate = '5/s', burst = 10 }\n",
        SERVICE + ROUTE + "listener = 'x'\nto = 'x'\nmatch = '/a/'\nrewrite = { prefix = '/' }\n",
        SERVICE
        + PROXY
        + "env = true\n"
        + ROUTE
        + "to = 'x'\nmatch = '/a/{b}'\nrewrite = { path = '/{b}' }\n",
        "app.env.no_proxy = 'x'\n" + PROXY + "env = true\n",
        PROXY + "egress = 'list'\nhosts = ['h']\n",
        (
            "service.port = 8080\n[app]\nport = 3000\n[inbound]\nlisten = '0.0.0.0:8080'\n"
            + ROUTE
            + "listener = 'inbound'\nto = 'app'\nmatch = '/a'\n"
        ),
        "service.register = false\napp.port = 1\ninbound = '127.0.0.1:2'\n",
    ],
)
def test_nothing_to_say(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        (
            SERVICE + "listen = '0.0.0.0:5000'\n",
            "ambassador.upstreams.x.listen",
            "without credentials",
        ),
        (PROXY + "listen = '0.0.0.0:3128'\n", "ambassador.proxy.listen", "pass unencrypted"),
        (
            PROXY + "listen = '0.0.0.0:3128'\ncredentials = false\n",
            "ambassador.proxy.listen",
            "whoever reaches it may use it; set credentials = true",
        ),
        (
            PROXY + "credentials = false\n",
            "ambassador.proxy.credentials",
            "other users of this host",
        ),
        (PROXY + "hosts = 'h'\n", "ambassador.proxy.hosts", 'unless egress is "list"'),
        (
            SERVICE + "tls = { verify = false }\n",
            "ambassador.upstreams.x.tls.verify",
            "anybody on the way",
        ),
        (
            SERVICE + "retry = { unsafe = true }\n",
            "ambassador.upstreams.x.retry.unsafe",
            "take effect twice",
        ),
        (SERVICE + "hash = 'address'\n", "ambassador.upstreams.x.hash", 'unless balance is "hash"'),
        (
            SERVICE + "limit = { burst = 5 }\n",
            "ambassador.upstreams.x.limit.burst",
            "without a rate",
        ),
        (
            SERVICE + "protocol = 'tcp'\nhost = 'h'\n",
            "ambassador.upstreams.x.host",
            "the protocol is tcp",
        ),
        (
            SERVICE + "timeout = '5s'\n",
            "ambassador.upstreams.x.timeout.try",
            "total is over before",
        ),
        (
            SERVICE + "timeout = { connect = '20s' }\n",
            "ambassador.upstreams.x.timeout.connect",
            "try is over before",
        ),
        (SERVICE + "fault = { abort = 503 }\n", "ambassador.upstreams.x.fault", "on purpose"),
        (
            PROXY + ROUTE + "answer = 200\nfault = { delay = '1s' }\n",
            "ambassador.routes[0].fault",
            "nothing is sent to an upstream",
        ),
        (
            SERVICE + PROXY + ROUTE + "to = 'x'\nfault = { delay = '1s' }\n",
            "ambassador.routes[0].fault",
            "on purpose",
        ),
        (
            PROXY + ROUTE + "answer = 200\nretry = 1\n",
            "ambassador.routes[0].retry",
            "nothing is sent to an upstream",
        ),
        (
            PROXY + ROUTE + "answer = 503\n" + ROUTE + "match = '/a'\nanswer = 200\n",
            "ambassador.routes[1]",
            "never reached: ambassador.routes[0] before it matches all of it",
        ),
        (
            "[app.env]\nPILLION_UPSTREAM_X = 'y'\n" + SERVICE,
            "app.env.PILLION_UPSTREAM_X",
            "keeps the app from learning",
        ),
        (
            "[config.env]\nhttp_proxy = 'y'\n" + PROXY + "env = true\n",
            "config.env.http_proxy",
            "keeps the app from learning",
        ),
        ("[ambassador.trace]\nsample = '1%'\n", "ambassador.trace.sample", "until telemetry.otlp"),
        ("[ambassador.limits]\nmemory = '16M'\n", "ambassador.limits.memory", "48M at least"),
        (
            "app.port = 3000\ninbound = '0.0.0.0:8080'\n",
            "inbound.listen",
            "others find the app at port 3000, past this listener",
        ),
    ],
)
def test_notices_refuse_nothing(text: str, path: str, words: str) -> None:
    (notice,) = told(text)
    assert notice[0] == path
    assert words in notice[1]


def test_what_is_not_verified_is_verified_by_nothing() -> None:
    text = SERVICE + "tls = { verify = false, ca_file = '/', names = 'x' }\n"
    assert [path for path, _ in told(text)] == [
        f"ambassador.upstreams.x.tls.{name}" for name in ("verify", "ca_file", "names")
    ]


def test_files_that_are_not_there(tmp_path: Path) -> None:
    there = tmp_path / "cert.pem"
    there.touch()
    text = (
        f"[app]\nport = 1\n[service]\nport = 2\n[inbound]\nlisten = '127.0.0.1:2'\n"
        f"[inbound.tls]\ncert_file = '{there}'\nkey_file = '{tmp_path}/key.pem'\n"
        f"{SERVICE}tls = {{ ca_file = '{tmp_path}/ca.pem' }}\n"
    )
    assert told(text) == [
        ("ambassador.upstreams.x.tls.ca_file", "no such file, as seen from here"),
        ("inbound.tls.key_file", "no such file, as seen from here"),
    ]


def test_every_listener_is_known() -> None:
    text = (
        "[api]\nprobe_listen = '127.0.0.1:1'\n"
        + PROXY
        + SERVICE
        + "[ambassador.upstreams.y]\nservice = 'y'\n"
        "listen = 'off'\n[app]\nport = 5\n[inbound]\nlisten = '127.0.0.1:2'\n"
    )
    assert [(dotted(path), address) for path, address in listeners(parse(text))] == [
        ("api.listen", "127.0.0.1:0"),
        ("api.probe_listen", "127.0.0.1:1"),
        ("ambassador.proxy.listen", "127.0.0.1:0"),
        ("ambassador.upstreams.x.listen", "127.0.0.1:0"),
        ("inbound.listen", "127.0.0.1:2"),
    ]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Match(), Match(), True),
        (Match(), Match(host=("a",), path="/x", methods=("GET",)), True),
        (Match(host=("a",)), Match(), False),
        (Match(host=("*",)), Match(), True),
        (Match(host=("*.a",)), Match(host=("b.a", "*.c.a")), True),
        (Match(host=("*.a",)), Match(host=("a",)), False),
        (Match(host=("*.a",)), Match(host=("b.a", "b")), False),
        (Match(host=("*.a",)), Match(host=("*.a",)), True),
        (Match(path="/"), Match(path="/a"), True),
        (Match(path="/a/"), Match(path="/a/b"), True),
        (Match(path="/a*"), Match(path="/ab/"), True),
        (Match(path="/a"), Match(path="/a/"), False),
        (Match(path="/a/"), Match(path=""), False),
        (Match(path="/{a}/"), Match(path="/x/y"), False),
        (Match(path="/a/"), Match(path="/a/{b}"), True),
        (Match(methods=("GET",)), Match(methods=("GET",)), True),
        (Match(methods=("GET",)), Match(), False),
        (Match(methods=("GET",)), Match(methods=("GET", "PUT")), False),
        (Match(headers={"A": "*"}), Match(headers={"a": "1"}), True),
        (Match(headers={"a": "1"}), Match(headers={"a": "2"}), False),
        (Match(headers={"a": "1"}), Match(headers={"a": "*"}), False),
        (Match(query={"a": "1"}), Match(query={"a": "1", "b": "2"}), True),
        (Match(query={"a": "1"}), Match(), False),
    ],
)
def test_what_a_match_covers(one: Match, other: Match, expected: bool) -> None:
    assert covers(one, other) == expected


def test_a_route_is_shadowed_only_by_one_of_the_same_ways_in() -> None:
    inbound = "[app]\nport = 1\n[service]\nregister = false\n[inbound]\nlisten = '127.0.0.1:2'\n"
    both = ROUTE + "listener = ['inbound', 'proxy']\nanswer = 200\n"
    assert told(inbound + PROXY + ROUTE + "answer = 503\n" + both) == []
    assert [path for path, _ in told(inbound + PROXY + both + ROUTE + "answer = 503\n")] == [
        "ambassador.routes[1]"
    ]
