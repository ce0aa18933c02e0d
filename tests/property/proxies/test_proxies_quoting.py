"""No value breaks out of the place that a template gives it: whatever it holds, it is one word there, or it is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pillion.proxies.templating import filters_haproxy, filters_nginx
from pillion.proxies.templating.filters import UnwritableError
from pillion.proxies.templating.rendered import RenderError
from proxies_rendering import facts_of, haproxy_complaint, nginx_complaint, rendered, write
from proxy_words import haproxy_words, nginx_words

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pillion.proxies.templating.facts import ProxyKind

NASTY = [
    "\\",
    '"',
    "'",
    ";",
    "{",
    "}",
    "$",
    "#",
    "\n",
    "\r",
    "\0",
    "%",
    "[",
    "]",
    "(",
    ")",
    ",",
    "~",
    "^",
    " ",
    "\t",
    "`",
    "!",
    "|",
]
PARTS = st.one_of(
    st.sampled_from(
        [
            *NASTY,
            "include",
            "-f",
            "--",
            "or",
            "if",
            "}",
            "{",
            "~.*",
            "${x}",
            "%[env(HOME)]",
            "\\x41",
            "\u2028",
            "\x85",
            "é",
        ]
    ),
    st.text(max_size=5),
)
TEXTS = st.lists(PARTS, max_size=8).map("".join)
VALUES = st.one_of(
    TEXTS,
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.lists(TEXTS),
    TEXTS.map("/{}".format),
)

NGINX = {name: one for name, one in filters_nginx.FILTERS.items() if name != "html"}
HAPROXY = {name: one for name, one in filters_haproxy.FILTERS.items() if name != "html"}


@pytest.mark.parametrize("name", [*NGINX, "bare"])
@given(VALUES)
@example("x; }")
@example('"')
@example("\\")
@settings(max_examples=60)
def test_in_nginx_a_value_is_one_word(name: str, value: object) -> None:
    made = written({**NGINX, "bare": filters_nginx.bare}[name], value)
    if made is None:
        return
    words = nginx_words(f"first {made} last;\nnext {made};\n")
    assert [len(one) for one in words] == [3, 2]
    assert words[0][2] == "last"
    assert "$" not in made
    if name == "quote":
        assert words[0][1] == (value if isinstance(value, str) else str(made).strip('"'))
    if name == "map_key":
        assert not words[0][1] or words[0][1][0] == "\\"


@pytest.mark.parametrize("name", [*HAPROXY, "bare"])
@given(VALUES)
@example("x y")
@example("'")
@example("\\")
@example("}")
@settings(max_examples=60)
def test_in_haproxy_a_value_is_one_word(name: str, value: object) -> None:
    made = written({**HAPROXY, "bare": filters_haproxy.bare}[name], value)
    if made is None:
        return
    words = haproxy_words(f"first {made} last\nnext {made}\n")
    assert [len(one) for one in words] == [3, 2]
    assert words[0][2] == "last"
    word = words[0][1]
    assert word not in {"{", "}", "!", "||"}
    # A host or a header may be called so, and stands where these are no words.
    assert name in {"host", "header_name"} or word not in {"or", "if", "unless"}
    assert not re.fullmatch(r"-[A-Za-z-]", word)
    if name == "quote" and isinstance(value, str):
        assert word == value
    if name == "format_text" and isinstance(value, str):
        assert word.replace("%%", "") == value.replace("%", "")
    else:
        assert "%" not in word


@given(TEXTS.filter(bool))
@settings(max_examples=60)
def test_a_regular_expression_of_a_value_matches_it_alone(text: str) -> None:
    for table, unescaped in ((filters_nginx, "\\x"), (filters_haproxy, "\\\\x")):
        made = written(table.regex, text)
        if made is None:
            continue
        pattern = made.replace(unescaped, "\\x").encode()
        assert re.fullmatch(pattern, text.encode())
        assert not re.fullmatch(pattern, text.encode() + b"x")
        assert nginx_words(f'x "{made}" y;')[0][2] == "y"


def written(made: Callable[..., object], value: object) -> str | None:
    """What a filter writes; None when it refuses."""
    try:
        return str(made(value))
    except UnwritableError:
        return None


REAL = {
    "nginx": (
        "events {}\nhttp {\n{% for one in values.texts %}\n    map $host $v{{ loop.index }} { {{ one|map_key }} {{ one|quote }}; }\n"
        "    server {\n        listen unix:{{ directory }}/s{{ loop.index }};\n        add_header X {{ one|quote }};\n"
        '        location ~ "^/{{ one|regex }}$" { return 200 {{ one|quote }}; }\n        location ~ ^/a{{ one|regex }}$ { return 200 a; }\n    }\n'
        "{% endfor %}\n}\n"
    ),
    "haproxy": (
        "defaults\n    mode http\n    timeout client 1s\n    timeout server 1s\n    timeout connect 1s\nfrontend f\n    bind 127.0.0.1:1\n"
        "{% for one in values.texts %}\n    acl a{{ loop.index }} path -- {{ one|quote }}\n    http-request set-header X {{ one|format_text }}\n"
        "    http-request deny if { path -m reg -- ^/{{ one|regex }}$ } { path -- {{ one|quote }} } a{{ loop.index }}\n{% endfor %}\n"
    ),
}


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
@given(texts=st.lists(TEXTS.filter(bool), min_size=20, max_size=40))
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_real_one_takes_what_was_written(
    kind: ProxyKind, tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    directory: Path = tmp_path_factory.mktemp("q")
    template = directory / "real.j2"
    template.write_text(REAL[kind])
    facts = facts_of(kind, str(directory), proves=False)

    def taken(some: list[str]) -> object:
        try:
            return rendered(kind, template, {"texts": some}, facts)
        except RenderError:
            return None

    texts = [one for one in texts if taken([one]) is not None]
    path = write(rendered(kind, template, {"texts": texts}, facts), facts)
    complaint = {"nginx": nginx_complaint, "haproxy": haproxy_complaint}[kind](path)
    assert not complaint, (complaint, texts)
