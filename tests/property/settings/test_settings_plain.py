"""Whatever is read without tomllib is what tomllib would have read, and whatever is taken for words it refuses."""

from __future__ import annotations

import tomllib

from hypothesis import example, given
from hypothesis import strategies as st

from pillion.cli.command_override import command_overrides
from pillion.settings.plain import is_words, plain_value

_PIECES = st.sampled_from(
    ['"', '""', "[", "]", ",", " ", "\t", "true", "false", "inf", "nan", "0", "1", "-7", "+3", "1.5", "1e3", "0x1F", "1_000", "2026-01-31",
     "T10:00:00Z", "\\u00e9", "\\u0022", "\\n", "\\", "é", "a", "10s", "512M", "#", "'", "{", "}", "=", "127.0.0.1:0", "-", ".", "\x7f", "\r"]
)  # fmt: skip
_TEXTS = st.one_of(
    st.text(max_size=12).filter(lambda text: "\n" not in text),
    st.lists(_PIECES, max_size=8).map("".join),
)


def by_tomllib(text: str) -> object:
    """The value of `text`; None when it is none."""
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return None


@given(_TEXTS)
@example('["a", "b" ,]')
@example('"""a"""')
@example("-0")
@example("007")
@example("1d")
@example("99999999999999999999")
@example('["\\ud800"]')
def test_a_plain_value_is_tomllibs(text: str) -> None:
    text = text.strip()
    value = plain_value(text)
    if value is not None:
        theirs = by_tomllib(text)
        assert (value, type(value)) == (theirs, type(theirs))
    if is_words(text):
        assert by_tomllib(text) is None


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_a_command_line_needs_no_tomllib(words: list[str]) -> None:
    (override,) = command_overrides(words, None)
    assert plain_value(override.partition("=")[2]) == words
