"""The plan that settings compile to is the one that the keeper has without settings."""

from __future__ import annotations

import json
import typing

import pytest

from pillion.cli.command_override import command_overrides
from pillion.keeper.plan import default_plan
from pillion.lifecycle.plan import keeper_plan, named, needs_shipper
from pillion.settings import Settings, parse

NAMED = '[app]\nname = "shop"\ncommand = ["node", "server.js"]\n'


def shape(value: object) -> object:
    """Keys and kinds of a plan; what may be None or a number is not told apart."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items() if key != "limits"}
    if isinstance(value, list):
        return list
    return "scalar"


def test_it_has_the_keys_of_the_keepers_own() -> None:
    ours = keeper_plan(parse(NAMED))
    theirs = default_plan(["node", "server.js"], "shop")
    assert shape(ours) == shape(theirs)


def test_the_defaults_are_the_same_but_for_what_settings_add() -> None:
    ours = typing.cast("dict[str, object]", keeper_plan(parse(NAMED)))
    theirs = typing.cast("dict[str, object]", default_plan(["node", "server.js"], "shop"))
    assert ours["app"] == theirs["app"]
    assert ours["logs"] == theirs["logs"]
    assert ours["api"] == theirs["api"]


def test_it_is_json() -> None:
    plan = keeper_plan(parse(NAMED), "/etc/pillion.toml")
    assert json.loads(json.dumps(plan)) == plan
    assert plan["settings_file"] == "/etc/pillion.toml"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("notify = true", {"notify": True}),
        ('http = "/healthz"', {"http": "/healthz", "timeout_s": 1.0, "interval_s": 1.0}),
        (
            'tcp = "127.0.0.1:1", timeout = "2s"',
            {"tcp": "127.0.0.1:1", "timeout_s": 2.0, "interval_s": 1.0},
        ),
        ('exec = ["true"]', {"exec": ["true"], "timeout_s": 1.0, "interval_s": 1.0}),
    ],
)
def test_readiness(text: str, expected: dict[str, object]) -> None:
    plan = keeper_plan(parse(f"{NAMED}port = 3000\nready = {{ {text} }}\n"))
    assert plan["app"]["ready"] == expected


def test_what_is_unlimited_is_left_out() -> None:
    plan = keeper_plan(
        parse(NAMED + 'limits = { memory = "512M" }\n[agent.limits]\nmemory = "none"\n')
    )
    assert plan["app"]["limits"] == {"memory": 512 << 20}
    assert plan["agent"]["limits"] == {}


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("", False),
        ('[telemetry]\notlp = "http://127.0.0.1:4318"\n', True),
        ('[logs]\nfiles = ["/var/log/x/*.log"]\n', True),
        ('[logs.file]\npath = "/var/log/shop.log"\n', True),
    ],
)
def test_there_is_a_shipper_when_there_is_something_to_ship(text: str, needed: bool) -> None:
    assert needs_shipper(parse(text)) is needed
    assert keeper_plan(parse(text))["shipper"]["enabled"] is needed


def test_there_is_no_ambassador_until_it_has_something_to_do() -> None:
    assert "ambassador" not in keeper_plan(parse(f"{NAMED}[ambassador]\nworkers = 4\n"))


AMBASSADOR = f"""{NAMED}port = 3000
[inbound]
listen = "0.0.0.0:8080"
[ambassador]
workers = 2
drain = "30s"
limits = {{ memory = "64M" }}
proxy = {{ listen = "127.0.0.1:3128", env = true, credentials = false }}
[ambassador.upstreams.orders]
service = "orders"
[ambassador.upstreams.db]
urls = ["tcp://10.0.0.1:5432"]
listen = "127.0.0.1:5432"
[ambassador.upstreams.hidden]
service = "hidden"
listen = "off"
"""


def test_the_ambassadors_plan() -> None:
    plan = keeper_plan(parse(AMBASSADOR))["ambassador"]
    assert plan == {
        **default_plan(["x"], "x")["shipper"],
        "enabled": True,
        "drain_s": 30.0,
        "limits": {"memory": 64 << 20},
        "workers": 2,
        "listeners": {
            "upstream:db": {"listen": "127.0.0.1:5432", "protocol": "tcp"},
            "upstream:orders": {"listen": "127.0.0.1:0", "protocol": "http"},
            "proxy": {"listen": "127.0.0.1:3128", "protocol": "http"},
            "inbound": {"listen": "0.0.0.0:8080", "protocol": "http"},
        },
        "proxy_env": True,
        "proxy_credentials": False,
    }


@pytest.mark.parametrize(
    "text",
    [
        '[ambassador.upstreams.a]\nservice = "a"\n',
        "[ambassador.proxy]\n",
        '[inbound]\nlisten = "127.0.0.1:0"\n',
    ],
)
def test_there_is_an_ambassador_for_each_way(text: str) -> None:
    assert keeper_plan(parse(f"{NAMED}port = 3000\n{text}"))["ambassador"]["workers"] == 1


def test_each_streams_own_policy() -> None:
    settings = parse(
        '[logs]\nmirror = false\n[logs.spool]\nfull = "block"\n[logs.stderr]\nfull = "drop_newest"\npty = true\n'
    )
    assert isinstance(settings, Settings)
    streams = keeper_plan(settings)["logs"]["streams"]
    assert streams["stdout"] == {"full": "block", "pty": False, "mirror": False}
    assert streams["stderr"] == {"full": "drop_newest", "pty": True, "mirror": False}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('[app]\nname = "shop"\ncommand = "node x"\n', ("shop", "shop")),
        ('[app]\ncommand = "/usr/bin/my@node x"\n', ("my-node", "my-node")),
        ('[app]\nname = "shop"\n[service]\nname = "orders"\n', ("shop", "orders")),
        ('[app]\ncommand = "node"\n[service]\nname = "orders"\n', ("node", "orders")),
    ],
)
def test_names_that_are_left_open(text: str, names: tuple[str, str]) -> None:
    settings = named(parse(text))
    assert (settings.app.name, settings.service.name) == names
    assert named(settings) == settings
    assert keeper_plan(settings)["app"].get("service") == names[1]


@pytest.mark.parametrize(
    ("text", "name"),
    [("", "shop-2"), ('[app]\nname = "shop"\n', "shop"), ("[app]\nport = 1\n", "shop-2")],
)
def test_a_name_on_the_command_line_is_the_services_only_when_it_has_none(
    text: str, name: str
) -> None:
    assert parse(text, command_overrides([], "shop-2")).app.name == name


# --- managed proxies -------------------------------------------------------------------------------------------------------

_EDGE = '[[proxies]]\nname = "edge"\nkind = "nginx"\ntemplate = "x"\n'


def test_without_a_proxy_that_the_keeper_runs_there_are_none() -> None:
    other = 'run = "other"\ndirectory = "/etc/nginx"\npid_file = "/run/nginx.pid"\n'
    assert "proxies" not in keeper_plan(parse(NAMED))
    assert "proxies" not in keeper_plan(parse(NAMED + _EDGE + other))


def test_nginx_runs_in_the_foreground_and_writes_where_the_sidecar_does() -> None:
    plan = keeper_plan(parse(NAMED + _EDGE + 'binary = "/opt/nginx"\nlimits.memory = "64M"\n'))
    edge = plan.get("proxies", {})["edge"]
    assert edge["command"][:5] == ["/opt/nginx", "-c", "{conf}/nginx.conf", "-p", "{conf}/"]
    directives = edge["command"][edge["command"].index("-g") + 1]
    assert directives.startswith('daemon off; pid "{state}/nginx.pid"; error_log stderr; ')
    assert edge["limits"] == {"memory": 64 << 20}
    assert (edge["stop_signal"], edge["stop_timeout_s"], edge["listeners"]) == ("QUIT", 10.0, {})


def test_haproxy_has_a_master_with_a_command_line() -> None:
    text = _EDGE.replace("nginx", "haproxy") + 'stop_timeout = "3s"\n'
    edge = keeper_plan(parse(NAMED + text)).get("proxies", {})["edge"]
    assert edge["command"] == [
        "haproxy", "-W", "-S", "unix@{runtime}/proxy-edge.master,mode,600", "-C", "{conf}", "-f", "{conf}/haproxy.cfg",
        "-p", "{state}/haproxy.pid",
    ]  # fmt: skip
    assert (edge["stop_signal"], edge["stop_timeout_s"]) == ("USR1", 3.0)


def test_the_offload_is_an_nginx_whose_address_the_keeper_binds() -> None:
    plan = keeper_plan(parse(NAMED + 'port = 1\n[offload]\nroot = "x"\nlisten = "0.0.0.0:80"\n'))
    offload = plan.get("proxies", {})["offload"]
    assert offload["command"][:3] == ["nginx", "-c", "{conf}/nginx.conf"]
    assert offload["listeners"] == {"offload": {"listen": "0.0.0.0:80", "protocol": "http"}}
