"""A secret that somebody wrote into the settings is refused, and not repeated: refusals reach the journal and the terminal."""

from __future__ import annotations

import pytest

from pillion.settings import SettingsError, parse


@pytest.mark.parametrize(
    "line",
    [
        'db = "hunter2"',
        "db = 4711477",
        'db = ["hunter2"]',
        'db = { value = "hunter2" }',
        'db = { file = ["hunter2"] }',
        'db = { file = { text = "hunter2" } }',
        'db = { env = "hunter2 is it" }',
        'db = { credential = "../hunter2" }',
        'db = { file = "/x", access = "hunter2" }',
        'db = { file = "/x", env = "X", value = "hunter2" }',
    ],
)
def test_an_inline_value_is_refused_and_not_repeated(line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(f"[secrets]\n{line}\n")
    said = str(caught.value) + repr(caught.value.problems)
    assert "secrets.db" in said
    assert "hunter2" not in said
    assert "4711477" not in said


def test_a_whole_section_that_is_none() -> None:
    with pytest.raises(SettingsError) as caught:
        parse('secrets = "hunter2"\n')
    assert "hunter2" not in str(caught.value)
