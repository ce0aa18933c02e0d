"""What files and variables hold of the configuration: which change concerns them, and what cannot be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pillion.config.projection import ENVIRONMENT_BYTES, concerns, content, variables, wanted
from pillion.config.projection_formats import rendered
from pillion.config.projection_tree import ProjectionError, flattened, nested
from pillion.settings.config import ConfigFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Held:
    """Values that a test holds."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def get(self, key: str) -> object | None:
        return self._values.get(key)

    def items(self, prefix: str) -> Mapping[str, object]:
        return {key: one for key, one in self._values.items() if key.startswith(prefix)}

    def on_change(self, callback: Callable[[frozenset[str]], None]) -> None:
        raise AssertionError("nothing changes here")


VALUES = Held(
    {"shop/price": 12.5, "shop/db/host": "h", "shop/db/port": 5432, "shopping": True, "text": "a\n"}
)


@pytest.mark.parametrize(
    ("file", "value"),
    [
        (ConfigFile(path="x.json", key="shop/price"), 12.5),
        (ConfigFile(path="x.json", key="shop"), None),
        (
            ConfigFile(path="x.json", prefix="shop"),
            {"db": {"host": "h", "port": 5432}, "price": 12.5},
        ),
        (ConfigFile(path="x.json", prefix="shop/db/"), {"host": "h", "port": 5432}),
        (ConfigFile(path="x.json", prefix="none/"), None),
    ],
)
def test_what_a_file_holds(file: ConfigFile, value: object) -> None:
    assert wanted(file, VALUES) == value


@pytest.mark.parametrize(
    ("file", "keys", "expected"),
    [
        (ConfigFile(path="x", key="a/b"), {"a/b", "c"}, True),
        (ConfigFile(path="x", key="a/b"), {"a/bc", "a"}, False),
        (ConfigFile(path="x", key="a/b"), set(), True),
        (ConfigFile(path="x", prefix="a"), {"a/b"}, True),
        (ConfigFile(path="x", prefix="a/"), {"a/b/c"}, True),
        (ConfigFile(path="x", prefix="a"), {"ab", "a"}, False),
    ],
)
def test_which_change_concerns_a_file(file: ConfigFile, keys: set[str], expected: bool) -> None:
    assert concerns(file, frozenset(keys)) is expected


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        ("json", {"a": [1, "é"]}, '{\n  "a": [\n    1,\n    "é"\n  ]\n}\n'),
        ("toml", {"a": 1, "b": {"c": "x"}}, 'a = 1\n\n[b]\nc = "x"\n'),
        ("yaml", {"a": [1, "no"], "v": "1e3"}, "a:\n- 1\n- 'no'\nv: \"1e3\"\n"),
        (
            "env",
            {"db": {"host": "a b"}, "list": [1], "3d": "x", "on": True, "q": "it's"},
            "DB_HOST='a b'\nLIST='[1]'\n_3D=x\nON=true\nQ='it'\\''s'\n",
        ),
        ("text", "as it is\n", "as it is\n"),
        ("text", {"a": 1}, '{"a":1}'),
    ],
)
def test_formats(form: str, value: object, text: str) -> None:
    assert rendered(value, form).decode() == text


def test_the_ending_says_the_format_unless_the_settings_do() -> None:
    assert content(ConfigFile(path="x.yml", key="a"), [1]) == b"- 1\n"
    assert content(ConfigFile(path="x.yml", key="a", format="text"), [1]) == b"[1]"


@pytest.mark.parametrize(
    ("form", "value", "why"),
    [
        ("toml", [1], "cannot write a value that is no table as TOML"),
        ("toml", {"a": {"b": [1, None]}}, "cannot write a/b/1 as TOML: it is null"),
        ("env", "x", "cannot write a value that is no table as variables"),
        ("env", {"a-b": 1, "a_b": 2}, "cannot write A_B twice"),
        ("env", {"a": {"b": 1}, "a_b": 2}, "cannot write A_B twice"),
        ("env", {"a": "x\0y"}, "NUL character"),
    ],
)
def test_what_a_format_cannot_hold(form: str, value: object, why: str) -> None:
    with pytest.raises(ProjectionError, match=why):
        rendered(value, form)


def test_a_key_that_is_a_value_and_a_table() -> None:
    with pytest.raises(ProjectionError, match=r"cannot write a/b as a tree: it has a value"):
        nested({"a/b": 1, "a/b/c": 2})
    # Also when the value is a table: which of the two a member belongs to could not be told.
    with pytest.raises(ProjectionError, match=r"cannot write a/b as a tree"):
        nested({"a/b": {}, "a/b/c": 2}, "a")


@pytest.mark.parametrize("name", ["", "..", "a\nb", "a//b", "/a"])
def test_a_name_that_cannot_be_part_of_a_key(name: str) -> None:
    with pytest.raises(ProjectionError, match="cannot use the key"):
        flattened({"a": {name: 1}})


def test_names_with_a_slash_are_keys_already() -> None:
    assert flattened({"a/b": 1, "c": {"d/e": 2}}) == {"a/b": 1, "c/d/e": 2}
    with pytest.raises(ProjectionError, match="cannot use a/b twice"):
        flattened({"a/b": 1, "a": {"b": 2}})


def test_variables_are_text_or_json_and_bounded() -> None:
    held = Held({"s": "é x", "n": 1.5, "t": {"a": [True, None]}, "nul": "\0", "big": "x" * 70_000})
    found = variables(
        {"S": "s", "N": "n", "T": "t", "GONE": "none", "NUL": "nul", "BIG": "big", "AFTER": "n"},
        held,
    )
    assert found.env == {"S": "é x", "N": "1.5", "T": '{"a":[true,null]}', "AFTER": "1.5"}
    assert found.left_out == {
        "GONE": "none has no value",
        "NUL": "nul has a NUL character, which no variable can hold",
        "BIG": f"big does not fit: variables may have {ENVIRONMENT_BYTES} bytes together",
    }
