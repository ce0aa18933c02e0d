"""Which schemas apply, and what keeps to them."""

from __future__ import annotations

import asyncio
import json

import pytest

from pillion.config.schemas import Schema, Schemas
from pillion.config.validation import MOST_PROBLEMS, Validation
from pillion.store.interface import Change, Entry


def change(name: str, schema: object, revision: int = 1) -> Change:
    value = None if schema is None else json.dumps(schema).encode()
    return Change(key=f"schema/{name}", value=value, revision=revision, time_s=1.0, writer="w")


def problems(schema: object, value: object) -> list[str]:
    one = Schema("a", json.dumps(schema).encode(), 1)
    return asyncio.run(Validation().problems((one,), json.dumps(value).encode()))


def unusable(schema: object) -> list[str]:
    return asyncio.run(Validation().schema_problems(json.dumps(schema).encode()))


def test_the_longest_prefix_and_the_key_s_own_apply() -> None:
    schemas = Schemas()
    for name in ("shop/", "shop/prices/", "shop/prices/tea", "shop"):
        schemas.apply(change(name, {"title": name}))
    applying = {
        key: [schema.name for schema in schemas.applying(key)]
        for key in ("shop", "shop/x", "shop/prices/tea", "shop/prices/x/y", "shopping", "x")
    }
    assert applying == {
        "shop": ["shop"],
        "shop/x": ["shop/"],
        "shop/prices/tea": ["shop/prices/", "shop/prices/tea"],
        "shop/prices/x/y": ["shop/prices/"],
        "shopping": [],
        "x": [],
    }


def test_one_that_is_not_there_yet_can_be_tried() -> None:
    schemas = Schemas()
    schemas.apply(change("a/", {"type": "string"}))
    new = Schema("a/b/", b"true", 0)
    assert schemas.applying("a/b/c", new) == (new,)
    assert [schema.name for schema in schemas.applying("a/x", new)] == ["a/"]
    assert new.concerns("a/b/c")
    assert not new.concerns("a/b")


def test_every_change_is_a_new_generation() -> None:
    schemas = Schemas()
    assert not schemas.apply(Change(key="config/x", value=b"1", revision=1, time_s=0))
    assert schemas.generation == 0
    schemas.apply(change("a", True))
    schemas.apply(change("a", None))
    assert schemas.generation == 2
    assert len(schemas) == 0
    entry = Entry(key="schema/a", value=b"true", revision=4, created=4, time_s=1.0)
    schemas.adopt([entry])
    schemas.adopt([entry])
    assert schemas.generation == 3
    assert schemas.agrees([entry])


def test_all_problems_at_once_with_their_places_and_without_values() -> None:
    schema = {
        "type": "object",
        "properties": {"p": {"type": "number"}, "s": {"pattern": "^a+$"}},
        "required": ["q"],
    }
    found = problems(schema, {"p": "secret-1", "s": "secret-2"})
    assert len(found) == 3
    assert "secret" not in "".join(found)
    assert any(one.startswith("/p: ") for one in found)
    assert problems(schema, {"p": 1, "q": 1}) == []


def test_problems_are_bounded() -> None:
    assert len(problems({"items": {"type": "string"}}, [1] * 1000)) == MOST_PROBLEMS


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"$ref": "http://127.0.0.1:1/x"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/$defs/nowhere"},
        {"pattern": "(a"},
        {"pattern": "(?=a)b"},
        {"pattern": "((a{1000}){1000}){1000}"},
        {"$schema": "http://example.com/other"},
        4,
        "x",
        None,
        [],
    ],
)
def test_a_schema_that_cannot_be_used(schema: object) -> None:
    assert unusable(schema)


def test_what_can_be_used() -> None:
    for schema in (True, False, {}, {"$ref": "#"}, {"$defs": {"a": True}, "$ref": "#/$defs/a"}):
        assert unusable(schema) == []


def test_a_pattern_takes_linear_time() -> None:
    assert problems({"pattern": "^(a+)+$"}, "a" * 50_000 + "b")


def test_a_schema_without_end_ends() -> None:
    for schema in ({"$ref": "#"}, {"allOf": [{"$ref": "#"}]}, {"not": {"$ref": "#"}}):
        problems(schema, 1)
    value: object = 1
    for _ in range(60):
        value = {"c": value}
    assert problems({"properties": {"c": {"$ref": "#"}}}, value) == []


def test_a_schema_of_the_store_that_broke_refuses_and_says_so() -> None:
    assert "cannot be used" in problems({"type": "nonsense"}, 1)[0]


def test_many_schemas_are_compiled_but_few_are_kept() -> None:
    validation = Validation()

    async def check() -> None:
        for number in range(200):
            one = Schema("a", json.dumps({"minimum": number}).encode(), 1)
            assert (await validation.problems((one,), b"100") != []) is (number > 100)

    asyncio.run(check())
    assert len(validation._compiled) <= 64
