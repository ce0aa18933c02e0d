"""What the settings accept, the ambassador can follow: no text passes the one and is refused by the other."""

import contextlib

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pillion.ambassador.egress import Egress
from pillion.ambassador.resolve import target_of
from pillion.ambassador.router import Router
from pillion.settings import SettingsError, parse
from pillion.settings.ambassador import Ambassador
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
