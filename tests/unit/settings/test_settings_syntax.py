"""One slip of syntax does not hide the other problems of a file, and is not reported as three."""

import pytest

from pillion.settings import SettingsError, parse


def problems(text: str) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        parse(text)
    return [str(one) for one in refused.value.problems]


def test_syntax_and_values_together() -> None:
    assert problems("[app]\nport = = 1\nnme = 3\n[logs]\nmirror = yes\n") == [
        "pillion.toml:2:8: cannot read this: invalid value",
        "pillion.toml:3: app.nme: unknown setting; did you mean app.name?",
        "pillion.toml:5:10: cannot read this: invalid value",
    ]


def test_set_twice() -> None:
    assert problems("[app]\nport = 1\n\nport = 2\n") == [
        "pillion.toml:4:9: cannot set this twice; keep one of the lines"
    ]


def test_the_same_table_twice() -> None:
    (problem,) = problems("[app]\nport = 1\n[logs]\n[app]\nname = 3\n")
    assert problem.startswith("pillion.toml:4:")
    assert "cannot begin the same table twice" in problem


def test_a_broken_header_does_not_give_its_settings_to_the_table_above() -> None:
    (problem,) = problems("[app]\nport = 1\n[logs\nmirror = true\n")
    assert problem.startswith("pillion.toml:3:6: ")


def test_a_string_that_never_ends() -> None:
    (problem,) = problems('[app]\nname = """x\nport = 1\n')
    assert problem.startswith("pillion.toml:")


def test_an_array_that_never_ends_is_one_problem() -> None:
    assert len(problems('[app]\ncommand = ["node"\nport = 1\nname = "x"\n')) == 1


def test_what_settings_say_together_is_not_judged_with_lines_left_out() -> None:
    # The line with app.port is the broken one: that ready.http misses it would be an echo.
    assert problems("[app]\nport = 3000 3\nready = { http = '/' }\n") == [
        "pillion.toml:2:13: cannot read this: expected newline or end of document after a statement"
    ]


def test_the_number_of_reports_is_bounded() -> None:
    assert len(problems("a = =\n\n" * 500)) == 20


def test_values_nested_without_end() -> None:
    assert problems("a = " + "[" * 100_000) == [
        "pillion.toml: cannot read values nested this deeply"
    ]
    with pytest.raises(SettingsError, match="nested too deeply"):
        parse("", ["a=" + "[" * 100_000])


def test_what_tomllib_can_nest_the_scanner_can_follow() -> None:
    deep = "[" * 200 + "]" * 200
    (problem,) = problems(f"a = {deep}\n")
    assert problem.startswith("pillion.toml:1: a: unknown setting")
