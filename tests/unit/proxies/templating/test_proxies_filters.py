"""What each filter takes, how it writes it, and what it refuses."""

from __future__ import annotations

import pytest

from pillion.proxies.templating import filters, filters_haproxy, filters_nginx
from pillion.proxies.templating.filters import UnwritableError
from proxies_rendering import member


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("number", 5, "5"),
        ("number", "-3", "-3"),
        ("number", 0.25, "0.25"),
        ("number", 1e-5, "0.00001"),
        ("number", 3.0, "3"),
        ("port", "8080", "8080"),
        ("duration", 10, "10s"),
        ("duration", "500ms", "500ms"),
        ("duration", "1.5s", "1500ms"),
        ("duration", "5m", "300s"),
        ("size", 1000, "1000"),
        ("size", "16k", "16k"),
        ("size", 16 * 1024 * 1024, "16m"),
        ("size", 0, "0"),
        ("onoff", True, "on"),
        ("host", "shop.example", "shop.example"),
        ("host", "::1", "[::1]"),
        ("host_port", "127.0.0.1:80", "127.0.0.1:80"),
        ("host_port", "[::1]:80", "[::1]:80"),
        ("host_port", member("a", 3, address="2001:db8::7"), "[2001:db8::7]:3"),
        ("bind_address", 8080, "*:8080"),
        ("bind_address", "*:80", "*:80"),
        ("cidr", "10.1.2.3/8", "10.0.0.0/8"),
        ("cidr", "::1", "::1/128"),
        ("header_name", "X-Api-Key", "X-Api-Key"),
        ("url_path", "/a/b.c", "/a/b.c"),
        ("html", "<a & 'b'>", "&#60;a &#38; &#39;b&#39;&#62;"),
    ],
)
def test_it_is_written_so(name: str, value: object, written: str) -> None:
    for table in (filters_nginx.FILTERS, filters_haproxy.FILTERS):
        assert table[name](value) == written


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("number", "x"),
        ("number", float("nan")),
        ("number", float("inf")),
        ("number", 10**30),
        ("number", True),
        ("number", None),
        ("port", 0),
        ("port", 65536),
        ("port", "-1"),
        ("port", 1.5),
        ("duration", "10 s"),
        ("duration", -1),
        ("duration", "30d"),
        ("size", "1T"),
        ("size", -5),
        ("onoff", "on"),
        ("host", "a b"),
        ("host", "a;b"),
        ("host", "-a"),
        ("host", "a..b"),
        ("host", "999.1.1.1"),
        ("host", "fe80::1%eth0"),
        ("host", "x" * 300),
        ("host_port", "host"),
        ("host_port", "::1:80"),
        ("host_port", "[::1:80"),
        ("host_port", "unix:/x"),
        ("host_port", "a:80;"),
        ("bind_address", "a:b"),
        ("cidr", "10.0.0.0/33"),
        ("cidr", "fe80::1%0"),
        ("header_name", "X Y"),
        ("header_name", "X:"),
        ("identifier", "a b"),
        ("identifier", ""),
        ("url_path", "a"),
        ("url_path", "/a b"),
        ("url_path", "/a/../b"),
        ("url_path", "/a;b"),
        ("quote", "a\nb"),
        ("quote", "a\0b"),
        ("quote", "\ud800"),
        ("quote", None),
        ("quote", ["a"]),
        ("quote", "x" * 10_000),
        ("html", "\n"),
    ],
)
def test_it_is_refused(name: str, value: object) -> None:
    for table in (filters_nginx.FILTERS, filters_haproxy.FILTERS):
        with pytest.raises(UnwritableError):
            table[name](value)


def test_bounds_of_a_number() -> None:
    with pytest.raises(UnwritableError, match="at least 1 and at most 100"):
        filters.number(101, 1, 100)
    with pytest.raises(UnwritableError, match="at least 1"):
        filters.number(0, 1)


def test_nginx_words() -> None:
    assert filters_nginx.quote('a "b" \\ ; {}') == '"a \\"b\\" \\\\ ; {}"'
    assert filters_nginx.quote("") == '""'
    with pytest.raises(UnwritableError, match="a dollar"):
        filters_nginx.quote("$host")
    assert filters_nginx.map_key("include") == '"\\\\include"'
    assert filters_nginx.regex("a.b é") == "a\\x2eb\\x20\\xc3\\xa9"
    assert filters_nginx.server_name("*.shop.example") == "*.shop.example"
    for name in ("~.*", "a b", "*", "*.*.a", "a.*", ""):
        with pytest.raises(UnwritableError):
            filters_nginx.server_name(name)


def test_haproxy_words() -> None:
    assert filters_haproxy.quote('it\'s "$x" \\') == "'it'\\''s \"$x\" \\'"
    assert filters_haproxy.format_text("100%[x]") == "'100%%[x]'"
    with pytest.raises(UnwritableError, match="percent"):
        filters_haproxy.quote("%[env(HOME)]")
    for word in ("-f", "--", "{", "}", "!", "||", "or", "if", "unless"):
        with pytest.raises(UnwritableError):
            filters_haproxy.quote(word)
    assert filters_haproxy.regex("a.b") == "a\\\\x2eb"


@pytest.mark.parametrize("bare", [filters_nginx.bare, filters_haproxy.bare])
def test_what_is_written_without_a_filter_is_one_plain_word(bare: object) -> None:
    assert callable(bare)
    for value, text in (("a-b.c/d:e@f", "a-b.c/d:e@f"), (5, "5"), (0.5, "0.5"), ("é", "é")):
        assert bare(value) == text
    for value in (
        "a b",
        "a;b",
        "a{",
        "a}",
        "#a",
        "a'b",
        'a"b',
        "a\\b",
        "$a",
        "a\tb",
        "a\nb",
        "\x7f",
        "\x85",
        "a`",
        "",
    ):
        with pytest.raises(UnwritableError):
            bare(value)
