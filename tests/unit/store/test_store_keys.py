"""Which keys there are, and where those with a prefix end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillion.store.interface import KEY_BYTES, VALUE_BYTES
from pillion.store.keys import check_key, check_value, prefix_end

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@pytest.mark.parametrize("key", ["a", "a/b", "ä" * (KEY_BYTES // 2), " ", "\U0010ffff"])
def test_a_key_within_the_bounds(key: str) -> None:
    check_key(key)


@pytest.mark.parametrize("key", ["", "a" * (KEY_BYTES + 1), "a\n", "\0", "\x7f", "\udc80"])
def test_a_key_out_of_bounds(key: str) -> None:
    with pytest.raises(ValueError, match=r"^cannot use "):
        check_key(key)


def test_a_value_within_and_out_of_bounds() -> None:
    check_value("a", bytes(VALUE_BYTES))
    with pytest.raises(ValueError, match=r"^cannot write a: .*524289.*524288"):
        check_value("a", bytes(VALUE_BYTES + 1))


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        ("", None),
        ("a", "b"),
        ("a/", "a0"),
        ("\ud7ff", "\ue000"),
        ("a\U0010ffff", "b"),
        ("\U0010ffff", None),
    ],
)
def test_where_a_prefix_ends(prefix: str, end: str | None) -> None:
    assert prefix_end(prefix) == end


@given(_text, _text)
def test_the_range_is_exactly_what_begins_with_the_prefix(prefix: str, key: str) -> None:
    end = prefix_end(prefix)
    inside = prefix.encode() <= key.encode() and (end is None or key.encode() < end.encode())
    assert inside == key.startswith(prefix)
