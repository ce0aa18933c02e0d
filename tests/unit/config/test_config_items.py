"""Values as they are kept, and what cannot be kept."""

from __future__ import annotations

import json

import pytest

from pillion.config.items import Item, decoded, deleted_body, problem_with, read_value
from pillion.errors import RefusedError


def test_an_item_is_the_answer_for_it() -> None:
    item = Item('a"b', "service", b'{"x":[1,2.50]}', 17, created=3, time_s=1.0, writer="me")
    assert json.loads(item.body) == {
        "key": 'a"b',
        "value": {"x": [1, 2.5]},
        "revision": 17,
        "layer": "service",
    }
    assert item.value == b'{"x":[1,2.50]}'
    assert item.etag == b'"service:17"'
    assert "2.5" not in repr(item)


def test_an_omitted_item_has_no_value_and_says_why() -> None:
    item = Item("a", "service", b"broken", 1, created=1, omitted="not JSON")
    body = json.loads(item.body)
    assert body == {"key": "a", "omitted": "not JSON", "revision": 1, "layer": "service"}
    assert item.value == b""


def test_a_deleted_one() -> None:
    assert json.loads(deleted_body("a/b", "service", 9)) == {
        "key": "a/b",
        "revision": 9,
        "layer": "service",
    }


def test_a_value_keeps_its_numbers_and_loses_its_spaces() -> None:
    assert read_value(b' { "a" : [ 12.50 , 1e3 ] } ') == b'{"a":[12.50,1e3]}'
    assert read_value(b"null") == b"null"
    assert decoded(b"12.50") == 12.5


def test_what_is_no_json_is_refused() -> None:
    for raw in (b"", b"{", b'"\xff"', b"NaN", b"'a'", b'"\\ud800"', b"1 2"):
        with pytest.raises(RefusedError) as caught:
            read_value(raw)
        assert caught.value.status in (400, 422), raw
        assert problem_with(raw) == "not JSON"


def test_what_nobody_could_read_back_is_refused() -> None:
    deep = b"[" * 65 + b"]" * 65
    for raw in (deep, b"[" * 200_000, b"1e999", b"1" + b"0" * 5000):
        with pytest.raises(RefusedError) as caught:
            read_value(raw)
        assert caught.value.status == 422
        assert problem_with(raw)
    assert read_value(b"[" * 64 + b"]" * 64)


def test_brackets_in_strings_are_not_depth() -> None:
    value = json.dumps(["[" * 500, '\\"[{' * 100]).encode()
    assert problem_with(value) == ""
    assert problem_with(b"[" + b",".join([b"[]"] * 500) + b"]") == ""
