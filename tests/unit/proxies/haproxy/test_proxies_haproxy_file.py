"""Words, sections and defaults of a haproxy.cfg, as HAProxy takes them apart."""

from __future__ import annotations

import pytest

from pillion.proxies.haproxy.file import Unreadable, defaults_of, read_sections, split_words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ()),
        ("   # only a comment", ()),
        ("  server a 127.0.0.1:80 check # why", ("server", "a", "127.0.0.1:80", "check")),
        (r"acl a hdr(x) -m str a\ b\#c", ("acl", "a", "hdr(x)", "-m", "str", "a b#c")),
        ('http-request set-header X "a # b"', ("http-request", "set-header", "X", "a # b")),
        ("x 'it is \"so\"' y", ("x", 'it is "so"', "y")),
        (r"""x 'a\b' "a\"b" """, ("x", r"a\b", 'a"b')),
        ('x "" y', ("x", "", "y")),
        ("x ''", ("x", "")),
        ('x pre"fix and"post', ("x", "prefix andpost")),
        ("bind ${ADDRESS}:80", ("bind", "${ADDRESS}:80")),
        ("tab\tseparated\r", ("tab", "separated")),
    ],
)
def test_a_line_is_taken_apart_as_haproxy_does(line: str, words: tuple[str, ...]) -> None:
    assert split_words(line) == words


@pytest.mark.parametrize("line", ["x 'open", 'x "open', "x end\\"])
def test_a_line_without_an_end_is_not_guessed_at(line: str) -> None:
    with pytest.raises(Unreadable, match="line 7"):
        split_words(line, 7)


def test_sections_have_their_lines_with_numbers() -> None:
    sections = read_sections("global\n    daemon\n\n# c\nbackend b from other # c\n  server a :1\n")
    assert [(one.kind, one.name, one.origin, one.number) for one in sections] == [
        ("global", "", "", 1),
        ("backend", "b", "other", 5),
    ]
    assert sections[1].lines[0].number == 6
    assert sections[1].lines[0].words == ("server", "a", ":1")


def test_what_only_haproxy_can_decide_is_refused() -> None:
    with pytest.raises(Unreadable, match=r"line 2 has the condition \.if"):
        read_sections("global\n.if defined(X)\n  daemon\n.endif\n")
    with pytest.raises(Unreadable, match="line 1 stands before the first section"):
        read_sections("daemon\n")


def test_a_proxy_takes_the_defaults_before_it_or_those_that_it_names() -> None:
    sections = read_sections(
        "defaults one\n mode http\nbackend a\ndefaults\n mode tcp\nbackend b\nbackend c from one\nglobal\n"
    )
    found = {sections[place].name: held.number for place, held in defaults_of(sections).items()}
    assert found == {"a": 1, "b": 4, "c": 1}
