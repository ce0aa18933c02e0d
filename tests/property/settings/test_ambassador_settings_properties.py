"""What the settings accept, the ambassador can follow: no text passes the one and is refused by the other."""

import contextlib

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pillion.ambassador.egress import Egress
from pillion.ambassador.resolve import target_of
from pillion.ambassador.router import Router
from pillion.settings import SettingsError, notices, parse
from pillion.settings.ambassador import Ambassador
from pillion.settings.checks import contradictions
from pillion.settings.kinds import Kind
from pillion.settings.reading import validate
from pillion.settings.shapes import Table
from pillion.settings.tables import Tablelist, Tablemap
from pillion.settings.tree import ROOT
from pillion.settings.writing import toml

_TEXTS = st.text("/a{}*.?%02F:é @-[]", max_size=12)
_PATHS = _TEXTS.map(lambda text: f"/{text}")
_HEAD = "[ambassador.proxy]\n[ambassador.upstreams.x]\nservice = 'x'\n"


def accepted(text: str) -> Ambassador | None:
    """The ambassador's settings of a text; None when it is refused."""
    with contextlib.suppress(SettingsError):
        return parse(text).ambassador
    return None


def follow(route: str) -> None:
    """Make a router of a route that the settings accept."""
    if (held := accepted(f"{_HEAD}[[ambassador.routes]]\n{route}\n")) is not None:
        assert Router(held.routes, held.upstreams).routes


@settings(max_examples=300, deadline=None)
@given(_PATHS | _TEXTS, _TEXTS)
@example("/a//b", "*.a")
@example("/a%2", "a")
@example("*", "*")
def test_matches(path: str, host: str) -> None:
    follow(f"to = 'x'\nmatch = {{ path = {toml(path)} }}")
    follow(f"to = 'x'\nmatch = {{ host = {toml(host)} }}")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["/a/", "/{a}/", "/{a}/b", "/a*", "/a", ""]), _PATHS, _TEXTS)
@example("/{a}/", "/x-{a}/{a}", "[::1]:80")
@example("/{a}/", "/%7Ba%7D", "h")
def test_rewrites_and_redirects(match: str, path: str, host: str) -> None:
    matched = f"match = {{ path = {toml(match)} }}\n" if match else ""
    for rewrite in ("path", "prefix"):
        follow(f"to = 'x'\n{matched}rewrite = {{ {rewrite} = {toml(path)} }}")
    follow(f"to = 'x'\nrewrite = {{ host = {toml(host)} }}")
    follow(f"{matched}redirect = {toml(path)}")
    follow(f"{matched}redirect = {toml('https://' + host + path)}")


@settings(max_examples=300, deadline=None)
@given(
    st.text("acdehnoprtux-_:é ", max_size=10)
    | st.sampled_from(["TE", "Expect", "upgrade", "Host", "cookie", "http2-settings"]),
    st.text("a\r\n\t\0\x7f é:", max_size=6),
)
def test_header_rules(name: str, value: str) -> None:
    for way in ("request_headers", "response_headers"):
        for rule in ("set", "add"):
            follow(f"answer = 200\n{way} = {{ {rule} = {{ {toml(name)} = {toml(value)} }} }}")
        follow(f"answer = 200\n{way} = {{ remove = {toml(name)} }}")
    follow(f"answer = 200\nmatch = {{ headers = {{ {toml(name)} = {toml(value)} }} }}")


@settings(max_examples=300, deadline=None)
@given(_TEXTS)
@example("*:443")
@example("[::1]")
@example("::1")
def test_egress(host: str) -> None:
    text = f"[ambassador]\nproxy = {{ egress = 'list', hosts = {toml(host)} }}\n"
    if (held := accepted(text)) is not None:
        assert held.proxy is not None
        assert not Egress(held.proxy).allows("elsewhere.example", 1) or host.startswith("*")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["http://", "https://", "tcp://", "unix:", "unix://"]), _TEXTS)
def test_urls(scheme: str, text: str) -> None:
    held = accepted(f"[ambassador.upstreams]\nx = {toml(scheme + text)}\n")
    if held is not None:
        target = target_of(held.upstreams["x"].urls[0])
        assert target.path or 0 < target.port < 65536


_WRITTEN = st.sampled_from(
    [
        "x",
        "y",
        "app",
        "proxy",
        "inbound",
        "off",
        "none",
        "http",
        "tcp",
        "hash",
        "/a/",
        "*",
        "5s",
        "10%",
        "200/s",
        "http://h",
        "tcp://h:1",
        "unix:/s",
        "127.0.0.1:80",
        "0.0.0.0:80",
        "GET",
        "{id}",
        "1.3",
        "",
    ]
)
_ANYTHING = _WRITTEN | st.integers(-1, 600) | st.booleans() | st.lists(_WRITTEN, max_size=2)


def tables(kind: Kind) -> st.SearchStrategy[object]:
    """What somebody could write for a kind who knows the names and none of the values."""
    match kind:
        case Table():
            members = {one.name: tables(one.spec.kind) for one in kind.base.members}
            return st.fixed_dictionaries({}, optional=members) | _ANYTHING
        case Tablemap():
            return st.dictionaries(
                st.sampled_from(["x", "y", "app", "a b"]), tables(kind.table), max_size=2
            )
        case Tablelist():
            return st.lists(tables(kind.table), max_size=2) | _ANYTHING
    # Mostly what fits, so that what is said together is looked at as well.
    fits = st.just(kind.written(kind.parse("x"))) if _takes(kind, "x") else _ANYTHING
    return fits | _ANYTHING


def _takes(kind: Kind, text: str) -> bool:
    try:
        kind.parse(text)
    except (ValueError, NotImplementedError):
        return False
    return True


_KINDS = {name: kind for name in ("ambassador", "inbound") if (kind := ROOT.member(name))}


@settings(max_examples=200, deadline=None)
@given(st.fixed_dictionaries({name: tables(kind) for name, kind in _KINDS.items()}))
def test_anything_is_read_or_refused_with_its_place(table: dict[str, object]) -> None:
    read, findings = validate({**table, "app": {"port": 3000}})
    if not findings:
        findings = [*contradictions(read), *notices(read)]
    assert all(one.path and one.message for one in findings)
