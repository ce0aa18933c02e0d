"""`pillion config`: what is read from files and words, before anybody is asked."""

from __future__ import annotations

import argparse
import json

import pytest

from pillion.cli import config
from pillion.cli.config_files import _batches
from pillion.cli.config_reading import MOST_DEPTH, format_of, plan_import, read_tree, same
from pillion.cli.config_service import Item, conditions, path_of
from pillion.cli.config_values import read_value
from pillion.cli.config_watch import EventReader, ServerEvent, describe
from pillion.errors import UsageError


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    config.add_arguments(parser)
    return parser.parse_args(words)


# --- words -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12.5", 12.5),
        ("true", True),
        ("null", None),
        ('"12"', "12"),
        ('{"a": [1]}', {"a": [1]}),
        ("plain words", "plain words"),
        ("", ""),
        ("NaN", "NaN"),
        ("{broken", "{broken"),
        ("01", "01"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_a_value_is_json_or_the_words_that_it_is(text: str, value: object) -> None:
    assert same(read_value(text, plain=False), value)
    assert read_value(text, plain=True) == text


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ([], []),
        (["--if-match", "service:17"], [(b"if-match", b'"service:17"')]),
        (["--if-match", '"service:17"'], [(b"if-match", b'"service:17"')]),
        (["--if-match", "*"], [(b"if-match", b"*")]),
        (["--if-absent"], [(b"if-none-match", b"*")]),
    ],
)
def test_preconditions(words: list[str], fields: list[tuple[bytes, bytes]]) -> None:
    assert conditions(arguments("set", "a", "1", *words)) == fields


@pytest.mark.parametrize(
    "words", [["--if-absent", "--if-match", "x"], ["--if-match", 'a"b'], ["--if-match", "a\nb: c"]]
)
def test_preconditions_that_are_none(words: list[str]) -> None:
    with pytest.raises(UsageError, match="cannot use --if-"):
        conditions(arguments("set", "a", "1", *words))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["get"], "cannot get this: write pillion config get KEY"),
        (["get", "a", "b"], "cannot get this"),
        (["set", "a"], "cannot set this: write pillion config set KEY VALUE"),
        (["list", "a", "b"], "cannot list this"),
        (["get", "a", "--if-match", "x"], "cannot use --if-match with get"),
        (["list", "--dry-run"], "cannot use --dry-run with list"),
        (["history", "a", "--from", "1"], "cannot use --from with history"),
    ],
)
def test_words_and_options_that_do_not_fit(words: list[str], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        config.run(arguments(*words))


def test_a_key_in_a_path() -> None:
    assert path_of("config", "shop/é ?#%2F") == "/v1/config/shop/%C3%A9%20%3F%23%252F"
    for key in ("", "/a"):
        with pytest.raises(UsageError, match="cannot use the key"):
            path_of("config", key)


# --- files -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "wanted", "form"),
    [
        ("a.toml", None, "toml"),
        ("a.YML", None, "yaml"),
        ("-", "json", "json"),
        ("a.toml", "yaml", "yaml"),
    ],
)
def test_the_format_of_a_file(path: str, wanted: str | None, form: str) -> None:
    assert format_of(path, wanted) == form


def test_a_format_that_nobody_says() -> None:
    with pytest.raises(
        UsageError, match="cannot tell the format of -: add --format json, toml, yaml"
    ):
        format_of("-", None)


@pytest.mark.parametrize(
    ("form", "text", "tree"),
    [
        ("json", '{"a": {"b": [1, null]}}', {"a": {"b": [1, None]}}),
        (
            "toml",
            "a.b = 1\nc = 2026-01-02T03:04:05Z\n",
            {"a": {"b": 1}, "c": "2026-01-02T03:04:05+00:00"},
        ),
        ("toml", "\ufeffa = 1.0\n", {"a": 1.0}),
        (
            "yaml",
            "a: &x {b: 2026-01-02}\nc: *x\n",
            {"a": {"b": "2026-01-02"}, "c": {"b": "2026-01-02"}},
        ),
        ("yaml", "8080: yes\n", {"8080": True}),
        ("yaml", "x: {<<: {a: 1}, b: 2}\n", {"x": {"a": 1, "b": 2}}),
        ("yaml", "", {}),
    ],
)
def test_what_is_read(form: str, text: str, tree: dict[str, object]) -> None:
    assert read_tree(text.encode(), form, "f") == tree


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(8)
)


@pytest.mark.parametrize(
    ("form", "text", "why"),
    [
        ("json", "{", "cannot read f as JSON"),
        ("json", "[1]", "cannot import f: it is no table"),
        ("json", b"\xff", "cannot read f as JSON"),
        ("toml", "a = ", "cannot read f as TOML"),
        ("toml", b"a = '\xff'", "cannot read f as TOML"),
        ("toml", "[a]\nb = nan", "cannot import a/b of f: JSON has no nan"),
        ("yaml", "a: [", "cannot read f as YAML"),
        ("yaml", "a: 1\na: 2", "cannot read f as YAML: line 2: a is there twice"),
        ("yaml", "a: !!python/object/apply:os.system [id]", "cannot read f as YAML"),
        ("yaml", "a: {true: 1}", "cannot import a of f: True is no name"),
        ("yaml", "a: !!binary aGk=", "cannot import a of f: JSON has no bytes"),
        ("yaml", "- 1", "cannot import f: it is no table"),
        ("yaml", "a: &a [*a]", "nested deeper than"),
        ("yaml", BOMB, "more than 1000000 values"),
        ("json", '{"a":' + "[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1) + "}", "nested deeper"),
        ("json", '{"a":' + "[" * 100_000, "cannot read f"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(form: str, text: str | bytes, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        read_tree(text if isinstance(text, bytes) else text.encode(), form, "f")


def test_only_what_differs_is_written() -> None:
    plan = plan_import(
        {"z": 1, "b": {"x": 1, "y": 2}, "c": 1.0, "a": True},
        {"b": {"y": 2, "x": 1}, "c": 1, "other": 3},
    )
    assert plan.values == {"a": True, "c": 1.0, "z": 1}
    assert (plan.new, plan.changed, plan.unchanged, plan.others) == (
        {"z": 1, "a": True},
        {"c": 1.0},
        1,
        1,
    )


def test_requests_are_of_a_size_that_the_api_takes() -> None:
    values: dict[str, object] = {f"k{n:04}": "x" * 1000 for n in range(2000)}
    held = {"k0000": Item(key="k0000", value=1, revision=17, layer="service")}
    batches = list(_batches(values, held, "service"))
    assert [item["key"] for batch in batches for item in batch] == list(values)
    assert max(map(len, batches)) <= 500
    assert batches[0][0]["revision"] == 17
    assert batches[0][1]["revision"] == 0


# --- streams -----------------------------------------------------------------------------------------------------------------


def test_events_from_their_lines() -> None:
    reader = EventReader()
    text = ': hello\n\nevent: put\ndata: {"a":\ndata:1}\n\nid: 18\nevent: current\ndata: {}\r\n\r\nid: 3\n\n'
    events = [reader.line(line.encode()) for line in text.split("\n")]
    assert [one for one in events if one] == [
        ServerEvent("put", '{"a":\n1}', ""),
        ServerEvent("current", "{}", "18"),
    ]


def test_a_change_in_a_line() -> None:
    body = {"key": "a\x1b", "value": [1], "layer": "service", "revision": 3}
    assert describe(ServerEvent("put", json.dumps(body), ""), colour=False) == (
        "put    a\\x1b = [1] (service:3)"
    )
    assert describe(ServerEvent("delete", json.dumps(body), ""), colour=False) == (
        "delete a\\x1b (service:3)"
    )
