"""Managed proxies and the offload as users write them: what is held, what is refused, and what a careful reader would be told."""

import pytest

from pillion.settings import Settings, SettingsError, diff, from_json, notices, parse, to_json
from pillion.settings.offload import SECURITY_HEADERS
from pillion.settings.proxies import ManagedProxy
from pillion.settings.tree import ROOT

_EDGE = """[[proxies]]
name = "edge"
kind = "haproxy"
template = "pillion:balancer"
"""
_OTHER = _EDGE + 'run = "other"\n'
_OFFLOAD = "app.port = 3000\n[offload]\n"


def _proxy(text: str) -> ManagedProxy:
    (proxy,) = parse(text).proxies
    return proxy


def _problems(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse(text)
    return [str(problem).removeprefix("pillion.toml:") for problem in caught.value.problems]


def _notices(text: str) -> dict[str, str]:
    found = notices(parse(text))
    return {".".join(map(str, one.path)): one.message for one in found}


def test_a_proxy_with_its_defaults() -> None:
    proxy = _proxy(_EDGE)
    assert (proxy.name, proxy.kind, proxy.template) == ("edge", "haproxy", "pillion:balancer")
    assert (proxy.run, proxy.program, proxy.main_file) == ("keeper", "haproxy", "haproxy.cfg")
    assert (proxy.wait.min_s, proxy.wait.max_s) == (0.2, 2.0)
    assert (proxy.guard.empty, proxy.guard.share, proxy.guard.hold_s) == (True, 0.5, 30.0)
    assert (proxy.prove, proxy.prove_timeout_s, proxy.runtime_changes) == (True, 5.0, True)
    assert (proxy.retry_initial_s, proxy.retry_max_s) == (1.0, 60.0)
    assert (proxy.old_workers_s, proxy.old_workers, proxy.history) == (30.0, 4, 20)
    assert (proxy.stop_timeout_s, proxy.correct, dict(proxy.values)) == (10.0, False, {})


def test_a_proxy_with_everything() -> None:
    proxy = _proxy(
        _OTHER
        + """directory = "/etc/haproxy"
binary = "/opt/haproxy"
master = "/run/master.sock"
socket = "127.0.0.1:9999"
files = { "blocked.map" = "blocked.map.j2" }
values = { hosts = ["a", "b"], deep = { n = 1, share = 0.5, on = true } }
wait = { min = "50ms", max = "1s" }
guard = { empty = false, share = "0%", hold = "never" }
drain = "5s"
"""
    )
    assert proxy.program == "/opt/haproxy"
    assert proxy.values == {"hosts": ["a", "b"], "deep": {"n": 1, "share": 0.5, "on": True}}
    assert proxy.files == {"blocked.map": "blocked.map.j2"}
    assert (proxy.wait.min_s, proxy.wait.max_s, proxy.old_workers_s) == (0.05, 1.0, 5.0)
    assert (proxy.guard.empty, proxy.guard.share, proxy.guard.hold_s) == (False, 0.0, 0.0)


def test_the_offload_by_its_root_alone() -> None:
    settings = parse('app.port = 3000\noffload = "public"\n')
    offload = settings.offload
    assert offload is not None
    assert (offload.root, offload.listen, offload.index) == ("public", "127.0.0.1:0", "index.html")
    assert (offload.body_bytes, offload.cache_s, offload.microcache_s) == (16 << 20, 3600.0, 0.0)
    assert (offload.to, offload.protected, offload.tls) == (None, None, None)
    assert offload.headers == SECURITY_HEADERS
    assert (offload.wait.min_s, offload.wait.max_s, offload.timeout_s) == (0.2, 2.0, 60.0)


def test_the_offload_as_the_proxy_that_it_is() -> None:
    text = _OFFLOAD + 'root = "x"\nstop_timeout = "3s"\nwait = { max = "9s" }\nlimits.cpu = 1\n'
    offload = parse(text).offload
    assert offload is not None
    proxy = offload.as_proxy()
    assert (proxy.name, proxy.kind, proxy.run, proxy.program) == (
        "offload", "nginx", "keeper", "nginx",
    )  # fmt: skip
    assert (proxy.stop_timeout_s, proxy.wait.max_s, proxy.limits.cpu) == (3.0, 9.0, 1.0)


@pytest.mark.parametrize(
    ("text", "used"),
    [("", False), (_EDGE, True), (_OFFLOAD + "root = 'x'\n", True), ("app.port = 1\n", False)],
)
def test_whether_there_is_anything_to_manage(text: str, used: bool) -> None:
    assert parse(text).uses_proxies is used


def test_headers_are_added_to_the_usual_ones_whatever_their_case() -> None:
    text = 'headers = { x-frame-options = "DENY", Referrer-Policy = "off", A = "b" }\n'
    offload = parse(_OFFLOAD + 'root = "x"\n' + text).offload
    assert offload is not None
    assert offload.headers == {
        "X-Content-Type-Options": "nosniff",
        "x-frame-options": "DENY",
        "A": "b",
    }


@pytest.mark.parametrize(
    "more",
    [
        "",
        'headers = { Referrer-Policy = "off", A = "b" }\n',
        'headers = { X-Frame-Options = "DENY" }\nmicrocache = "1s"\nprotected = "y"\n',
    ],
)
def test_what_is_written_is_read_as_the_same(more: str) -> None:
    settings = parse(_OFFLOAD + 'root = "x"\n' + more + _EDGE + "values.a = [{ b = 1.5 }]\n")
    place_free, found = ROOT.written(settings), from_json(to_json(settings))
    assert found == settings
    assert isinstance(place_free, dict)
    from pillion.settings.reading import validate

    again, findings = validate(place_free)
    assert findings == []
    assert again == settings


def test_settings_of_an_earlier_version_have_no_proxies() -> None:
    assert from_json("{}") == Settings()
    assert not from_json("{}").uses_proxies


# --- what is refused -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (
            "2026-01-02",
            "cannot use 2026-01-02: a date is no value here; expected a string, in quotes",
        ),
        ("nan", "cannot use nan; expected a number"),
        ("[1, [inf]]", "cannot use inf; expected a number"),
    ],
)
def test_a_value_that_json_has_not(value: str, why: str) -> None:
    (problem,) = _problems(_EDGE + f"values.a = {value}\n")
    assert problem.endswith(why)


def test_values_have_a_bottom() -> None:
    deep = "{ a = " * 20 + "1" + " }" * 20
    (problem,) = _problems(_EDGE + f"values = {deep}\n")
    assert "nested more than 16 deep" in problem


@pytest.mark.parametrize("name", ["a/b", "../x", ".hidden", "", "-x", "a b", "x" * 101])
def test_a_file_beside_the_main_one_has_a_plain_name(name: str) -> None:
    (problem,) = _problems(_EDGE + f'files = {{ "{name}" = "t.j2" }}\n')
    assert "cannot use this name" in problem


def test_the_main_file_has_one_template() -> None:
    assert _problems(_EDGE + 'files = { "haproxy.cfg" = "x" }\n') == [
        '5: proxies[0].files."haproxy.cfg": cannot have a second template: template is its own'
    ]


@pytest.mark.parametrize("template", ["pillion:", "pillion:a/b", "pillion:.x"])
def test_the_name_of_a_shipped_template(template: str) -> None:
    (problem,) = _problems(_EDGE.replace("pillion:balancer", template))
    assert "proxies[0].template: cannot use" in problem


def test_which_shipped_templates_there_are_rendering_knows() -> None:
    text = _EDGE.replace("balancer", "no-such-template")
    assert _proxy(text).template == "pillion:no-such-template"
    assert _notices(text) == {}


@pytest.mark.parametrize(
    "name", ["app", "agent", "shipper", "scribe", "keeper", "ambassador", "ambassador-2", "offload", "Agent"]
)  # fmt: skip
def test_names_of_other_components(name: str) -> None:
    assert _problems(_EDGE.replace("edge", name)) == [
        f"2: proxies[0].name: cannot call a proxy {name}: it is another component's name"
    ]


def test_two_proxies_of_one_name() -> None:
    assert _problems(_EDGE + _EDGE) == [
        "6: proxies[1].name: cannot tell two proxies called edge apart; rename one"
    ]


@pytest.mark.parametrize("name", ["x" * 33, "a/b", ".x", ""])
def test_a_name_that_could_not_be_in_a_socket_s_path(name: str) -> None:
    assert any("proxies[0].name" in one for one in _problems(_EDGE.replace("edge", name)))


@pytest.mark.parametrize(
    "line",
    ['directory = "/x"', 'pid_file = "/x"', 'reload = "x"', 'master = "/x"', 'socket = "/x"'],
)
def test_what_only_somebody_else_s_proxy_has(line: str) -> None:
    (problem,) = _problems(_EDGE + line + "\n")
    assert 'remove it, or set run = "other"' in problem


def test_a_proxy_of_somebody_else_s_must_be_told_somehow_and_has_a_place() -> None:
    assert _problems(_OTHER) == [
        "1: proxies[0]: cannot do without directory: where the one who runs it looks for its files",
        (
            "1: proxies[0]: cannot have it load its files without a way to tell it; "
            "expected pid_file, reload or master"
        ),
    ]


@pytest.mark.parametrize("way", ['pid_file = "/x"', 'reload = "x"', 'master = "/x"'])
def test_each_way_to_tell_is_one(way: str) -> None:
    assert _proxy(_OTHER + f'directory = "/x"\n{way}\n').run == "other"


def test_nginx_has_no_sockets() -> None:
    text = _OTHER.replace("haproxy", "nginx") + 'directory = "/x"\nmaster = "/m"\nsocket = "/s"\n'
    assert _problems(text) == [
        (
            "1: proxies[0]: cannot have it load its files without a way to tell it; "
            "expected pid_file or reload"
        ),
        "7: proxies[0].master: cannot use it: nginx has no such socket",
        "8: proxies[0].socket: cannot use it: nginx has no such socket",
    ]


def test_waits_that_contradict_each_other() -> None:
    assert _problems(_EDGE + 'wait = { min = "3s" }\nretry_initial = "2m"\n') == [
        "5: proxies[0].wait: cannot wait longer at least than at most; raise max or lower min",
        (
            "6: proxies[0].retry_initial: cannot wait longer at first than at most; "
            "raise retry_max or lower retry_initial"
        ),
    ]


def test_the_offload_needs_the_app_s_port() -> None:
    assert _problems('[offload]\nroot = "public"\n') == [
        "1: offload: cannot stand in front of an app whose port is not known; set app.port"
    ]


def test_the_offload_cannot_go_to_an_inbound_that_there_is_not() -> None:
    assert _problems(_OFFLOAD + 'root = "x"\nto = "inbound"\n') == [
        "4: offload.to: cannot go to inbound, which is not set; set [inbound]"
    ]


@pytest.mark.parametrize("protected", ["public", "public/private", "./public/../public/x"])
def test_what_is_protected_is_not_served_to_everybody(protected: str) -> None:
    (problem,) = _problems(_OFFLOAD + f'root = "public"\nprotected = "{protected}"\n')
    assert "cannot protect what root serves to everybody" in problem


def test_a_neighbour_of_the_root_can_be_protected() -> None:
    offload = parse(_OFFLOAD + 'root = "public"\nprotected = "public-not"\n').offload
    assert offload is not None
    assert offload.protected == "public-not"


@pytest.mark.parametrize("prefix", ["/", "x/", "/x", "//", "/a b/", "/a;b/", '/a\\"b/'])
def test_a_protected_prefix_that_nginx_could_misread(prefix: str) -> None:
    (problem,) = _problems(_OFFLOAD + f'root = "x"\nprotected_prefix = "{prefix}"\n')
    assert "offload.protected_prefix: cannot use" in problem


def test_a_header_cannot_begin_another() -> None:
    (problem,) = _problems(_OFFLOAD + 'root = "x"\nheaders = { A = "b\\r\\nC: d" }\n')
    assert "a control character in a header" in problem


def test_the_offload_s_port_is_its_own() -> None:
    assert _problems(_OFFLOAD + 'root = "x"\nlisten = "127.0.0.1:3000"\n') == [
        "4: offload.listen: cannot listen twice on one port; give it another than app.port has"
    ]


def test_names_in_certificates_are_inbound_s() -> None:
    tls = 'tls = { cert_file = "/c", key_file = "/k", client_ca_file = "/a", allowed_names = "x" }'
    (problem,) = _problems(_OFFLOAD + f'root = "x"\n{tls}\n')
    assert "nginx does not show them" in problem


# --- what is said ----------------------------------------------------------------------------------------------------------


def test_files_that_are_not_there() -> None:
    text = _OFFLOAD + 'root = "/nowhere"\nprotected = "/nor-here"\n' + _EDGE
    found = _notices(text.replace("pillion:balancer", "/no.j2") + 'files = { a = "/no" }\n')
    assert found == {
        "proxies.0.template": "no such file, as seen from here",
        "proxies.0.files.a": "no such file, as seen from here",
        "offload.root": "no such directory, as seen from here",
        "offload.protected": "no such directory, as seen from here",
    }


def test_what_few_would_want() -> None:
    found = _notices(_EDGE.replace("haproxy", "nginx") + "prove = false\nruntime_changes = false\n")
    assert found == {
        "proxies.0.prove": "that a new version serves is then assumed, and not found out",
        "proxies.0.runtime_changes": "without effect: this is HAProxy's",
    }
    found = _notices(_OTHER + 'directory = "/x"\npid_file = "/x"\n')
    assert "until socket says where" in found["proxies.0.runtime_changes"]


def test_past_inbound() -> None:
    text = _OFFLOAD + 'root = "/"\nto = "app"\n[inbound]\nlisten = "127.0.0.1:0"\n'
    assert _notices(text)["offload.to"] == "what is offloaded goes past the rules of inbound"


# --- a reload --------------------------------------------------------------------------------------------------------------


def test_every_change_is_live() -> None:
    old = parse(_EDGE + "values.a = 1\n")
    new = parse(
        _OFFLOAD + 'root = "x"\n' + _EDGE.replace("edge", "other") + "values.a = 2\nprove = false\n"
    )
    changes = {change.path: change for change in diff(old, new)}
    assert set(changes) == {
        "app.port", "offload", "proxies[0].name", "proxies[0].values", "proxies[0].prove",
    }  # fmt: skip
    assert all(change.live for path, change in changes.items() if path != "app.port")
