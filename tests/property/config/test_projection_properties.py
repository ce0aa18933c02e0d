"""What is written reads back as the same values, in every format, with the reader that its users have."""

from __future__ import annotations

import json
import subprocess
import tempfile
import tomllib
from typing import Any

import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pillion.config.projection_formats import rendered
from pillion.config.projection_tree import ProjectionError, flattened, nested

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "yes", "NO", "y", "null", "~", "1e3", "0o17", "0x1F", "1_000", "1:30", "2026-01-02", ".5", "-", "- a", "a: b", "a #b",
        "'", '"', "\\", "\n", "a\nb\n", " a ", "\t", "\x7f", "\x85", "\u2028", "%", "@", "`", "*a", "&a", "!a", "|", ">", "{", "[",
        "$(id)", "`id`", "$HOME", "'\\''", "é", "💶", "=", "", "\x1b[2J", "\r\n", "<<", "---", "...", "\ufeff",
    ]
)  # fmt: skip
_NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_SCALARS = _TEXT | _NUMBERS | st.booleans()


def _values(scalars: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
        max_leaves=8,
    )


def same(one: object, other: object) -> bool:
    """Equal, with whole numbers, fractions and flags told apart."""
    return one == other and repr(one) == repr(other)


@settings(max_examples=300, deadline=None)
@given(_values(_SCALARS | st.none()))
def test_json_reads_back(value: object) -> None:
    assert same(json.loads(rendered(value, "json")), value)


@settings(max_examples=300, deadline=None)
@given(_values(_SCALARS | st.none()))
def test_yaml_reads_back(value: object) -> None:
    assert same(yaml.safe_load(rendered(value, "yaml")), value)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_TEXT, _values(_SCALARS), max_size=4))
def test_toml_reads_back(value: dict[str, object]) -> None:
    assert tomllib.loads(rendered(value, "toml").decode()) == value


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(["A", "b_c", "X9"]), _TEXT, min_size=1))
def test_lines_for_a_shell_survive_it(value: dict[str, str]) -> None:
    assume(not any("\0" in text for text in value.values()))
    script = 'set -u; . "$1"; for name in $2; do eval "printf %s \\"\\${$name}\\"; printf \'\\\\0\'"; done'
    names = [name.upper() for name in value]
    found = _sourced(script, rendered(value, "env"), " ".join(names))
    assert found == [text.encode() for text in value.values()]


def _sourced(script: str, text: bytes, names: str) -> list[bytes]:
    with tempfile.NamedTemporaryFile(suffix=".env") as file:
        file.write(text)
        file.flush()
        done = subprocess.run(
            ["sh", "-c", script, "sh", file.name, names], capture_output=True, check=True
        )
    assert done.stderr == b""
    return done.stdout.split(b"\0")[:-1]


_PARTS = st.sampled_from(["a", "b", "c d", "é", "0"])
_TREES: st.SearchStrategy[Any] = st.recursive(
    _SCALARS | st.just({}) | st.lists(_SCALARS, max_size=2),
    lambda inner: st.dictionaries(_PARTS, inner, min_size=1, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(_PARTS, _TREES, max_size=3))
def test_a_tree_becomes_keys_and_again_the_tree(tree: dict[str, object]) -> None:
    keys = flattened(tree, "shop/")
    assert all(key.startswith("shop/") for key in keys)
    assert nested(keys, "shop") == tree


@given(
    st.dictionaries(
        st.lists(_PARTS, min_size=1, max_size=4).map("/".join), _SCALARS | st.none(), max_size=6
    )
)
def test_keys_become_a_tree_and_again_the_keys(keys: dict[str, object]) -> None:
    clash = any(other.startswith(f"{key}/") for key in keys for other in keys)
    try:
        tree = nested(keys)
    except ProjectionError:
        assert clash
    else:
        assert not clash
        assert flattened(tree) == keys
