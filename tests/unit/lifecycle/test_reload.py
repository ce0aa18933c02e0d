"""What a reload tells."""

from __future__ import annotations

import msgspec

from pillion.lifecycle.reload import reload_answer
from pillion.settings import parse


def test_live_and_waiting_changes_are_told_apart() -> None:
    old = parse('[app]\nname = "shop"\n')
    new = parse(
        '[app]\nname = "shop"\nport = 1\nstop_timeout = "3s"\n'
        '[api]\nlisten = "127.0.0.1:2"\n[shipper]\nheartbeat = "2s"\n'
    )
    answer = reload_answer(old, new)
    assert [one.path for one in answer.applied] == ["app.stop_timeout"]
    waiting = {need.component: [one.path for one in need.settings] for need in answer.needs_restart}
    assert waiting == {
        "app": ["app.port"],
        "shipper": ["shipper.heartbeat"],
        "instance": ["api.listen"],
    }


def test_nothing_changed() -> None:
    answer = reload_answer(parse(""), parse(""))
    assert (answer.applied, answer.needs_restart) == ([], [])


def test_values_that_may_be_credentials_are_hidden() -> None:
    new = parse('[app.env]\nKEY = "s3cret"\n[telemetry.headers]\nauthorization = "s3cret"\n')
    answer = reload_answer(parse(""), new)
    told = [one for need in answer.needs_restart for one in need.settings]
    assert {one.path for one in told} == {"app.env.KEY", "telemetry.headers.authorization"}
    assert all(one.new == "(hidden)" and one.old is None for one in told)


def test_a_table_that_came_or_went_is_told_whole_but_for_credentials() -> None:
    old = parse('[secrets.db]\nenv = "DB_PASSWORD"\n[logs.multiline]\npattern = "x"\n')
    new = parse(
        '[health.checks.web]\nhttp = "http://h/"\nheaders = { authorization = "s3cret" }\n'
        '[[config.files]]\npath = "x.json"\nkey = "shop"\n[config.env]\nA = "shop/a"\n'
    )
    answer = reload_answer(old, new)
    told = {one.path: one for one in answer.applied}
    assert set(told) == {"config.files[0]", "health.checks.web", "secrets.db"}
    web = told["health.checks.web"]
    assert (web.old, isinstance(web.new, dict) and web.new["headers"]) == (None, "(hidden)")
    assert isinstance(told["secrets.db"].old, dict)
    assert told["secrets.db"].old["env"] == "DB_PASSWORD"
    waiting = [one for need in answer.needs_restart for one in need.settings]
    assert {one.path: one.new for one in waiting} == {
        "config.env.A": "shop/a",
        "logs.multiline": None,
    }
    assert b"s3cret" not in msgspec.json.encode(answer)


def test_headers_that_routes_set_are_hidden_and_flags_and_names_are_not() -> None:
    rule = 'request_headers = { set = { authorization = "s3cret" } }\n'
    route = '[[ambassador.routes]]\nanswer = 200\nlistener = "x"\nmatch = { headers = { key = "s3cret" } }\n'
    upstream = '[ambassador.upstreams.x]\nservice = "x"\n'
    old = parse(upstream + route + "[ambassador.proxy]\nenv = false\n")
    new = parse(
        upstream + route.replace("s3cret", "s3cret2") + rule + "[ambassador.proxy]\nenv = true\n"
        '[ambassador.log]\nheaders = ["user-agent"]\n'
    )
    answer = reload_answer(old, new)
    assert {one.path: one.new for one in answer.applied} == {
        "ambassador.log.headers": ("user-agent",),
        "ambassador.routes[0].match.headers.key": "(hidden)",
        "ambassador.routes[0].request_headers.set.authorization": "(hidden)",
    }
    (need,) = answer.needs_restart
    assert [(one.path, one.new) for one in need.settings] == [("ambassador.proxy.env", True)]
    (whole,) = reload_answer(parse(upstream), parse(upstream + route + rule)).applied
    assert isinstance(whole.new, dict)
    assert (whole.new["request_headers"], whole.new["response_headers"]["remove"]) == (
        "(hidden)",
        (),
    )
    assert b"s3cret" not in msgspec.json.encode([answer, whole])
