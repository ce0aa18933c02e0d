"""What templates ask for, what they give, where each line comes from, and how it reads when they cannot be rendered."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from pillion.proxies.templating.references import ABSENT, Reference
from pillion.proxies.templating.rendered import (
    VERSION_PLACE,
    Missing,
    Rendered,
    RenderError,
    explain,
)
from pillion.proxies.templating.templates import Templates, render
from proxies_rendering import facts_of, member, rendered, text_of

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_missing_is_named_all_at_once_where_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "a.j2"
    path.write_text(
        "{% for one in service('orders') %}{{ one.address }}{% endfor %}{{ config('a/b') }}{{ file('/x')|quote }}"
        "{% if environment.host.name == 'x' %}1{% endif %}{{ secret('s')|number }}{{ tree('c').d + 1 }}{{ config('late') }}"
    )
    templates = Templates("nginx", ("nginx.conf", str(path)))
    found = render(templates, {}, facts_of("nginx"))
    assert isinstance(found, Missing)
    names = {str(one) for one in found.references}
    assert {"service orders", "config a/b", "file /x", "environment"} <= names
    assert found.templates == {str(path)}
    # What follows a filter that nothing can be said of yet is asked for in a further round.
    have: dict[Reference, object] = {
        Reference("service", "orders"): (),
        Reference("config", "a/b"): 1,
        Reference("config", "late"): 2,
        Reference("file", "/x"): "x\n",
        Reference("environment"): {"host": {"name": "y"}},
        Reference("secret", "s"): "3",
        Reference("tree", "c"): {"d": 4},
    }
    done = render(templates, have, facts_of("nginx", proves=False))
    assert isinstance(done, Rendered)
    assert done.files[0].text == '1"x"352'
    assert done.used == set(have)


def test_the_same_values_give_the_same_version_and_others_another(tmp_path: Path) -> None:
    path = tmp_path / "a.j2"
    path.write_text("{{ version }} {{ config('k') }}{{ proof() }}")
    key = Reference("config", "k")
    one, again, other = (rendered("nginx", path, given={key: value}) for value in (1, 1, 2))
    assert one.version == again.version != other.version
    assert len(one.version) == 16
    assert one.files[0].text.startswith(f"{one.version} 1")
    assert one.files[0].text.count(one.version) == 2
    assert VERSION_PLACE not in one.files[0].text


def test_every_file_counts_for_the_version_and_bears_it(tmp_path: Path) -> None:
    main, side = tmp_path / "m.j2", tmp_path / "s.j2"
    main.write_text("{{ proof() }}")
    versions = set()
    for text in ("# {{ version }} a\n", "# {{ version }} b\n"):
        side.write_text(text)
        found = render(
            Templates("nginx", ("nginx.conf", str(main)), {"extra.conf": str(side)}),
            {},
            facts_of("nginx"),
        )
        assert isinstance(found, Rendered)
        assert [one.name for one in found.files] == ["nginx.conf", "extra.conf"]
        assert found.files[1].text.startswith(f"# {found.version} ")
        versions.add(found.version)
    assert len(versions) == 2


SOURCE = """\
first
{% import "macros.j2" as macros %}
{% if true %}
in an if {{ 1 }}
{% endif %}
{% for i in range(2) %}
loop {{ i }}
{% endfor %}
{% include "part.j2" %}
{# a comment
   of two lines #}
{{ macros.two("x"|quote) -}}
after
{% set block %}
set
{% endset %}
    {{ block|indent }}
{{ upstream("u", ["127.0.0.1:1"]) }}
last
"""


def test_each_line_names_its_template_and_line(tmp_path: Path) -> None:
    (tmp_path / "part.j2").write_text("part\n  {{ 2 }}\n")
    (tmp_path / "macros.j2").write_text(
        "{% macro two(x) %}\nmacro {{ x }}\nagain\n{% endmacro %}\n"
    )
    path = tmp_path / "a.j2"
    path.write_text(SOURCE)
    found = rendered("nginx", path, facts=facts_of("nginx", proves=False)).files[0]
    lines = dict(zip(found.text.splitlines(), found.lines, strict=True))
    assert lines["first"] == ("a.j2", 1)
    assert lines["in an if 1"] == ("a.j2", 4)
    assert lines["loop 0"] == lines["loop 1"] == ("a.j2", 7)
    assert lines["part"] == ("part.j2", 1)
    assert lines["  2"] == ("part.j2", 2)
    assert lines['macro "x"'] == ("macros.j2", 2)
    assert lines["again"] == ("macros.j2", 3)
    assert lines["after"] == ("a.j2", 13)
    assert lines["    set"] == ("a.j2", 15)
    assert lines["    server 127.0.0.1:1 max_fails=1 fail_timeout=10s;"] == ("a.j2", 18)
    assert lines["last"] == ("a.j2", 19)


def test_a_complaint_names_the_line_of_the_template(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf.j2"
    path.write_text("{% for i in range(9) %}\nx;\n{% endfor %}\nlistn;\n{{ secret('s')|quote }}")
    given = {Reference("secret", "s"): "hush-hush"}
    found = rendered("nginx", path, facts=facts_of("nginx", proves=False), given=given)
    said = explain(found, "/etc/candidate/nginx.conf", 10, 'unknown directive "listn"')
    assert said == 'nginx.conf.j2 line 4 (nginx.conf line 10): unknown directive "listn"'
    assert explain(found, "nginx.conf", 99, "x") == "nginx.conf line 99: x"
    assert explain(found, "nginx.conf", 0, "x") == "nginx.conf: x"
    assert explain(found, "/etc/mime.types", 3, "x") == "/etc/mime.types line 3: x"
    assert explain(found, "", 0, "bad hush-hush") == "bad ***"


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        (
            "a\n\n{{ values.evil }}",
            3,
            "'x; y' holds ';', so it is not one plain word; write |quote",
        ),
        ("\n{{ values.table }}", 2, "is a table, which cannot be written"),
        ("{{ values.list }}", 1, "is a list, which cannot be written"),
        ("{{ values.null }}", 1, "is null, which cannot be written"),
        ("{{ values.flag }}", 1, "write |onoff, or an if"),
        ("{{ values.empty }}", 1, "it is empty"),
        ("\n{{ values.nope }}", 2, "there is no nope here, but"),
        ("\n{{ nope }}", 2, "'nope' is undefined"),
        (
            "\n\n{{ config('gone') }}",
            3,
            "the configuration key gone is not set, and has no default",
        ),
        ("{% include 'nope.j2' %}", 1, "cannot read"),
        ("x\n{% if %}", 2, "Expected an expression"),
        ("{{ 1 / 0 }}", 1, "division by zero"),
        ("{{ ''.__class__ }}", 1, "unsafe"),
        ("{{ 'a'|nope }}", 1, "No filter named 'nope'"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", 1, "calls itself without end"),
        ("{{ 'a' * 10000000 }}", 1, "too long"),
        ("{{ 9 ** 999999 }}", 1, "power"),
        ("{{ '%999999d' % 1 }}", 1, "too long"),
        ("{{ '{:>99999}'.format(1) }}", 1, "no format()"),
        ("\n{{ values.evil|number }}", 2, "is no number"),
        ("{{ ('a;b'|quote) ~ ';' }}", 1, "is not one plain word"),
        ("{% filter upper %}a b\n{% endfilter %}", 1, "is not one plain word"),
        ("{{ ('a;b'|quote)[1:] }}", 1, "is not one plain word"),
        ("{{ upstream('a b', []) }}", 1, "cannot be a name"),
        ("{{ upstream('a', [], balance='x;') }}", 1, "no way to balance"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, source: str, line: int, words: str
) -> None:
    values = {
        "evil": "x; y",
        "table": {"a": 1},
        "list": [1],
        "null": None,
        "flag": True,
        "empty": "",
    }
    with pytest.raises(RenderError) as caught:
        text_of("nginx", tmp_path, source, values)
    assert str(caught.value).startswith(f"cannot render edge: test.j2 line {line}: ")
    assert words in str(caught.value)
    assert caught.value.templates >= {str(tmp_path / "test.j2")}


def test_an_error_in_an_included_file_names_that_one(tmp_path: Path) -> None:
    (tmp_path / "part.j2").write_text("\n\n{{ nope }}")
    with pytest.raises(RenderError, match=r"part\.j2 line 3: 'nope' is undefined"):
        text_of("nginx", tmp_path, "x\n{% include 'part.j2' %}")


def test_a_refused_value_says_what_to_wait_for(tmp_path: Path) -> None:
    key = Reference("config", "k")
    with pytest.raises(RenderError) as caught:
        text_of("nginx", tmp_path, "{{ config('k') }}", given={key: "a b"})
    assert caught.value.used == {key}


@pytest.mark.parametrize(
    "source", ["{{ secret('s') }}", "{{ 'Bearer ' ~ secret('s') }}", "{{ secret('s')|number }}"]
)
def test_no_message_shows_a_secret(tmp_path: Path, source: str) -> None:
    given = {Reference("secret", "s"): "correct horse battery staple and a long one; that is cut"}
    with pytest.raises(RenderError) as caught:
        text_of("nginx", tmp_path, source, given=given)
    assert "correct" not in str(caught.value)
    assert "line 1" in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{% if n %}{% set a = f(n - 1) %}{% set b = f(n - 1) %}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ a }}{% endfor %}{% endfor %}",
    ],
)
def test_a_template_without_end_is_ended(tmp_path: Path, source: str) -> None:
    path = tmp_path / "a.j2"
    path.write_text(source)
    ticks = iter(range(10**9))
    with pytest.raises(RenderError, match="takes too long"):
        render(
            Templates("nginx", ("nginx.conf", str(path))),
            {},
            facts_of("nginx"),
            limit_s=50_000,
            clock_s=lambda: float(next(ticks)),
        )


def test_what_is_too_long_is_ended(tmp_path: Path) -> None:
    source = "{% for i in range(99999) %}{{ ('a' * 1000) }}{% endfor %}"
    with pytest.raises(RenderError, match="more than 16 MiB"):
        text_of("nginx", tmp_path, source)


def test_one_of_many_threads_disturbs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.j2"
    path.write_text("{% for i in range(200) %}{{ values.x }}{% endfor %}")
    found: dict[int, str] = {}

    def run(at: int) -> None:
        facts = facts_of("nginx", proves=False)
        found[at] = rendered("nginx", path, {"x": at}, facts).files[0].text

    threads = [threading.Thread(target=run, args=(at,)) for at in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert found == {at: str(at) * 200 for at in range(8)}


def test_a_changed_template_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.j2"
    templates = Templates("nginx", ("nginx.conf", str(path)))
    for text in ("one", "two!"):
        path.write_text(text)
        found = render(templates, {}, facts_of("nginx", proves=False))
        assert isinstance(found, Rendered)
        assert found.files[0].text == text


def test_a_proof_is_demanded_and_says_where_it_belongs(tmp_path: Path) -> None:
    path = tmp_path / "a.j2"
    path.write_text("x")
    with pytest.raises(RenderError, match=r"does not call proof\(\).* inside of http"):
        rendered("nginx", path)
    with pytest.raises(RenderError, match=r"does not call proof\(\).* outside of every section"):
        rendered("haproxy", path)
    assert rendered("haproxy", path, facts=facts_of("haproxy", proves=False)).files[0].text == "x"


def test_values_can_be_configuration_keys(tmp_path: Path) -> None:
    values = {"weight": {"config": "shop/w", "default": 5}, "deep": {"list": [{"config": "k"}]}}
    source = "{{ values.weight }} {{ values.deep.list[0] }}"
    assert text_of("nginx", tmp_path, source, values, config={"k": 2}) == "5 2"
    assert text_of("nginx", tmp_path, source, values, config={"k": 2, "shop/w": 7}) == "7 2"


def test_a_service_is_those_who_can_take_work_in_order(tmp_path: Path) -> None:
    members = (
        member("c", 3, status="warning", tags=("blue",)),
        member("a", 1, zone="north"),
        member("b", 2, status="critical"),
    )
    source = (
        "{% for m in service('s') %}{{ m.id }}{% endfor %} {% for m in service('s', every=true) %}{{ m.id }}{% endfor %}"
        " {{ service('s', tags=['blue'])[0]|host_port }} {{ service('s', zone='north')[0].server_name }}"
    )
    facts = facts_of("nginx", proves=False)
    path = tmp_path / "a.j2"
    path.write_text(source)
    found = rendered("nginx", path, facts=facts, services={"s": members})
    assert found.files[0].text == "ac abc 127.0.0.1:3 a"
    assert [one.id for one in found.members["s"]] == ["a", "b", "c"]
    assert found.holdings == {"service s": {"a", "c"}}


def test_what_is_absent_can_have_a_default(tmp_path: Path) -> None:
    source = "{{ config('k', 1) }}{{ config('k')|default(2) }}{{ file('/f', 'x') }}{{ 3 if config('k') is undefined }}"
    given = {Reference("config", "k"): ABSENT, Reference("file", "/f"): ABSENT}
    assert text_of("nginx", tmp_path, source, given=given) == "12x3"


def test_server_lines_keep_names_and_share_weights(tmp_path: Path) -> None:
    members = (
        member("a", 1, weight=2),
        member("b", 2, status="critical"),
        member("c", 3, address="db.example"),
    )
    services = {"s": members}

    def lines(call: str) -> list[str]:
        text: str = text_of("haproxy", tmp_path, "{{ " + call + " }}", services=services)
        return text.splitlines()

    assert lines("server_lines('s')") == [
        "server a 127.0.0.1:1 weight 2 check",
        "server c db.example:3 weight 1 init-addr last,libc,none check",
    ]
    assert "disabled" in lines("server_lines('s', unusable='maint')")[1]
    assert "weight 0" in lines("server_lines('s', unusable='drain')")[1]
    assert lines("server_lines('s', share=50, prefix='x-')")[0] == (
        "server x-a 127.0.0.1:1 weight 85 check"
    )
    assert lines("server_lines('none')") == []
    with pytest.raises(RenderError, match="more than plain words"):
        lines("server_lines('s', options='check\n server evil')")


def test_a_shipped_template_can_be_extended(tmp_path: Path) -> None:
    source = "{% extends 'pillion:reverse-proxy' %}{% block server %}\n    gzip on;\n{% endblock %}"
    assert "    gzip on;\n" in text_of("nginx", tmp_path, source)
    with pytest.raises(RenderError, match="there are canary, load-balancer"):
        text_of("nginx", tmp_path, "{% extends 'pillion:nope' %}")
