"""What a limit may be."""

from __future__ import annotations

import msgspec
import pytest

from pillion.errors import UsageError
from pillion.lifecycle.limits import LimitsChange, describe_limits, parse_limits


def test_units_and_lifting() -> None:
    change = parse_limits(["memory=512M", "cpu=1.5", "processes=200", "open_files=none"])
    assert msgspec.to_builtins(change) == {
        "memory": 512 << 20,
        "cpu": 1.5,
        "processes": 200,
        "open_files": None,
    }


def test_what_is_not_named_is_not_there() -> None:
    assert msgspec.json.encode(parse_limits(["cpu=2"])) == b'{"cpu":2.0}'
    assert msgspec.json.encode(parse_limits(["memory=none"])) == b'{"memory":null}'


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["memory"], "write KEY=VALUE"),
        (["memroy=1G"], "with one of memory, cpu"),
        (["memory=512MB"], "unknown unit"),
        (["memory=512"], "no unit"),
        (["memory=1K"], "1048576"),
        (["cpu=fast"], "could not convert"),
        (["cpu=0"], "0.01"),
        (["cpu=nan"], "cannot"),
        (["cpu=inf"], "4096"),
        (["processes=1.5"], "invalid literal"),
        (["processes=0"], ">= 1"),
        (["cpu=1", "cpu=2"], "twice"),
        ([], "cannot change nothing"),
    ],
)
def test_what_is_no_limit(words: list[str], says: str) -> None:
    with pytest.raises(UsageError, match="cannot") as error:
        parse_limits(words)
    assert says in str(error.value)


def test_a_body_is_held_to_the_same() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"memory": 1000}', type=LimitsChange)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"memory": "512M"}', type=LimitsChange)
    assert msgspec.json.decode(b"{}", type=LimitsChange).is_empty


def test_in_words() -> None:
    assert describe_limits({"memory": 512 << 20, "cpu": 1.5}) == "memory 512M, cpu 1.5"
    assert describe_limits({"memory": None}) == "none"
