"""What holds for every text and every value: the scanner finds exactly what tomllib reads, and what is written is read again."""

import contextlib
import tomllib
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pillion.settings import Settings, SettingsError, diff, from_json, notices, parse, to_json
from pillion.settings.checks import contradictions
from pillion.settings.config import FileMode
from pillion.settings.edges import Ports
from pillion.settings.kinds import Choice, Flag, Kind, Number, Text, Whole
from pillion.settings.positions import locate
from pillion.settings.problems import Path, Problem
from pillion.settings.quantities import Duration, Percentage, Rate, Size
from pillion.settings.reading import validate
from pillion.settings.references import Account, Endpoint, Listen, Pattern, Url
from pillion.settings.route_patterns import check_path_pattern, is_prefix, template_names
from pillion.settings.shapes import Command, Strings, Strmap, Table
from pillion.settings.statuses import Status
from pillion.settings.tables import Tablelist, Tablemap
from pillion.settings.tree import ROOT
from pillion.settings.units import (
    format_duration,
    format_percentage,
    format_rate,
    format_size,
    parse_duration,
    parse_percentage,
    parse_rate,
    parse_size,
)
from pillion.settings.upstream_urls import split_upstream_url
from pillion.settings.values import Values
from pillion.settings.writing import toml

# --- the scanner -------------------------------------------------------------------------------------------------------------

_KEYS = st.text("ab.\"'=[]#\\ \té", max_size=4) | st.sampled_from(["app", "a-b", "0", "true"])
_SCALARS = (
    st.integers(-99, 99)
    | st.booleans()
    | st.text("ab\"'=[]{}#,\\ \n\té", max_size=6)
    | st.sampled_from([1.5, float("inf")])
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)


def _key(key: str, draw: Any) -> str:
    if key and all(c.isascii() and (c.isalnum() or c in "-_") for c in key) and draw(st.booleans()):
        return key
    if draw(st.booleans()) and not set(key) & set("'\n"):
        return f"'{key}'"
    return toml(key)


def _scalar(value: object, draw: Any) -> str:
    if not isinstance(value, str):
        return toml(value)
    # A line feed right after the opening quotes is not part of the string.
    first = "\n" if value.startswith("\n") else ""
    ways = [toml(value), '"""' + first + value.replace("\\", "\\\\").replace('"', '\\"') + '"""']
    if "'" not in value and "\\" not in value and not value.startswith("\n"):
        ways.append(f"'''{value}'''")
        if "\n" not in value:
            ways.append(f"'{value}'")
    return str(draw(st.sampled_from(ways)))


class _Writer:
    """Writes a table as TOML in one of the ways there are, and notes the line of everything."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[Path, int] = {}

    def note(self, path: Path) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def blank(self) -> None:
        """Something between two elements of an array, where line feeds and comments may stand."""
        self.text += self.draw(st.sampled_from(["", " ", "\n", " # ] ' \n", "\n\n\t"]))

    def value(self, value: object, path: Path) -> None:
        if isinstance(value, list):
            self.text += "["
            for index, one in enumerate(value):
                self.blank()
                self.note((*path, index))
                self.value(one, (*path, index))
                self.blank()
                self.text += ","
            self.blank()
            self.text += "]"
        elif isinstance(value, dict):
            self.text += "{"
            for index, (key, one) in enumerate(value.items()):
                self.text += ", " if index else " "
                self.note((*path, key))
                self.text += f"{_key(key, self.draw)} = "
                self.value(one, (*path, key))
            self.text += " }"
        else:
            self.text += _scalar(value, self.draw)

    def table(self, table: dict[str, Any], path: Path, header: tuple[str, ...]) -> None:
        later = {}
        for key, one in table.items():
            inner = isinstance(one, dict) or (
                isinstance(one, list) and one and all(isinstance(x, dict) for x in one)
            )
            if inner and self.draw(st.booleans()):
                later[key] = one
                continue
            self.text += self.draw(st.sampled_from(["", "\n", "  ", "# [x]\n"]))
            self.note((*path, key))
            self.text += _key(key, self.draw) + self.draw(st.sampled_from(["=", " = "]))
            self.value(one, (*path, key))
            self.text += self.draw(st.sampled_from(["\n", " # = [\n"]))
        for key, one in later.items():
            names = (*header, _key(key, self.draw))
            tables = one if isinstance(one, list) else [one]
            self.note((*path, key))
            for index, inner_table in enumerate(tables):
                inner_path: Path = (*path, key, index) if isinstance(one, list) else (*path, key)
                self.note(inner_path)
                dotted = ".".join(names)
                self.text += f"[[{dotted}]]\n" if isinstance(one, list) else f"[ {dotted} ]\n"
                self.table(inner_table, inner_path, names)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(_KEYS, _VALUES, max_size=5), st.data())
def test_the_scanner_finds_the_line_of_everything(
    table: dict[str, Any], data: st.DataObject
) -> None:
    writer = _Writer(data.draw)
    writer.table(table, (), ())
    # The writer is right: what it wrote is what it was given.
    assert repr(tomllib.loads(writer.text)) == repr(_ordered(tomllib.loads(writer.text), table))
    assert locate(writer.text) == writer.lines


def _ordered(read: dict[str, Any], table: dict[str, Any]) -> dict[str, Any]:
    """`table` with the key order of `read`, so that the two compare in text (inf and nan included)."""
    assert read == table
    return read


# --- every sort of value -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**15))
def test_durations_are_exact_to_the_microsecond(microseconds: int) -> None:
    seconds = microseconds / 1_000_000
    assert abs(parse_duration(format_duration(seconds)) - seconds) < 1e-6
    assert parse_duration(format_duration(float(microseconds))) == float(microseconds)


@given(st.integers(0, 1 << 60))
def test_sizes_are_exact(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.integers(0, 10_000))
def test_percentages_are_exact(hundredths: int) -> None:
    fraction = hundredths / 10_000
    assert parse_percentage(format_percentage(fraction)) == fraction


@given(st.integers(1, 1_000_000_000), st.sampled_from("smhd"))
def test_rates_are_exact(count: int, period: str) -> None:
    rate = parse_rate(f"{count}/{period}")
    assert parse_rate(format_rate(rate)) == rate > 0


@given(st.text("0123456789.dhmsKMGTiB%/ -e", max_size=12))
def test_units_refuse_or_answer_but_never_fall_over(text: str) -> None:
    for parse_one in (parse_duration, parse_size, parse_percentage, parse_rate):
        with contextlib.suppress(ValueError):
            assert parse_one(text) >= 0


# --- whole settings ----------------------------------------------------------------------------------------------------------

_WORDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12
)


_SAMPLES = ["shop", "/healthz", "a.b-1", "sqlite", "app", "200-399", "[::1]:1/a.B"]
_SAMPLES += [
    "/protected/",
    "h2",
    "pillion:x",
    "tcp://db:1",
    "unix:/x",
    "https://h:1",
    "address",
    "cookie:a",
    "*.a",
    "/u/{b}/",
]


def values(kind: Kind) -> st.SearchStrategy[Any]:
    """Values as a field of this kind holds them."""
    strategy = _plain(kind)
    return strategy | st.none() if kind.none_words or kind.optional else strategy


def _plain(kind: Kind) -> st.SearchStrategy[Any]:
    match kind:
        case Table():
            required = {member.attribute for member in kind.base.members if member.spec.required}
            every = {member.attribute: values(member.spec.kind) for member in kind.base.members}
            given_values = st.fixed_dictionaries(
                {name: every[name] for name in required},
                optional={name: one for name, one in every.items() if name not in required},
            )
            return given_values.map(lambda chosen: kind.base.replace(**chosen))
        case Choice():
            return st.sampled_from(kind.words)
        case Flag():
            return st.booleans()
        case Duration():
            return st.integers(int(kind.minimum * 1000), int(kind.maximum * 1000)).map(
                lambda ms: ms / 1000
            )
        case Size():
            return st.integers(kind.minimum, kind.maximum)
        case Percentage():
            return st.integers(0, 100).map(lambda percent: percent / 100)
        case Rate():
            return st.builds(
                lambda count, period: parse_rate(f"{count}/{period}"),
                st.integers(1, 1_000_000),
                st.sampled_from("smhd"),
            )
        case Ports():
            return st.lists(st.integers(1, 65535), max_size=3).map(tuple)
        case Status():
            return st.sampled_from(kind.codes)
        case Whole():
            return st.integers(kind.minimum, kind.maximum)
        case Number():
            return st.integers(int(kind.minimum * 100), int(kind.maximum * 100)).map(
                lambda n: n / 100
            )
        case Listen():
            return st.sampled_from(["127.0.0.1:0", "[::1]:8080", "localhost:1", "0.0.0.0:65535"])
        case Endpoint():
            return st.sampled_from(["db:5432", "[::1]:1", "10.0.0.1:65535"])
        case Url():
            return st.sampled_from(
                ["http://127.0.0.1:4318", "https://otlp.example/x", "http://[::1]:4318/"]
            )
        case Pattern():
            return st.sampled_from([r"^\s", "a|b", "\\d+"])
        case Account():
            return st.sampled_from(["www-data", "33", "a.b"])
        case Command():
            return st.lists(_WORDS, min_size=1, max_size=3).map(tuple)
        case Strings():
            items = (
                _WORDS if type(kind.item) is Text and kind.item.check is None else _plain(kind.item)
            )
            return st.lists(items, max_size=3).map(tuple)
        case Strmap():
            return st.dictionaries(
                st.sampled_from([name for name in ("A", "x-b", "c.d") if _names(kind.check, name)]),
                st.sampled_from(
                    [text for text in ("", "v", "file:/x", "é #") if _fits(kind.value, text)]
                ),
            )
        case Tablemap():
            names = st.sampled_from(["db", "a.b", "0"])
            return st.dictionaries(names, _plain(kind.table), max_size=2)
        case Tablelist():
            return st.lists(_plain(kind.table), max_size=2).map(tuple)
        case Values():
            # No None: TOML has no such value.
            scalars = _WORDS | st.booleans() | st.integers(-(1 << 40), 1 << 40) | st.just(0.5)
            return st.dictionaries(
                st.sampled_from(["to", "a.b", "é"]),
                scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.just("x"), scalars),
                max_size=3,
            )
        case FileMode():
            return st.integers(0, 0o777)
        case Text():
            return st.sampled_from([text for text in _SAMPLES if _fits(kind, text)])
    raise AssertionError(kind)


def _names(check: Callable[[str], None], text: str) -> bool:
    try:
        check(text)
    except ValueError:
        return False
    return True


def _fits(kind: Text, text: str) -> bool:
    try:
        kind.parse(text)
    except ValueError:
        return False
    return True


@settings(max_examples=50, deadline=None)
@given(values(ROOT))
def test_json_gives_back_the_same_settings(chosen: Settings) -> None:
    assert from_json(to_json(chosen)) == chosen


@settings(max_examples=50, deadline=None)
@given(values(ROOT), values(ROOT))
def test_settings_differ_when_there_is_a_change_and_only_then(old: Settings, new: Settings) -> None:
    changes = diff(old, new)
    assert bool(changes) == (old != new)
    assert len({change.path for change in changes}) == len(changes)
    assert diff(new, new) == []


@settings(max_examples=50, deadline=None)
@given(values(ROOT))
def test_what_is_written_is_read_again(chosen: Settings) -> None:
    read, findings = validate(ROOT.written(chosen))  # type: ignore[arg-type]
    assert findings == []
    assert read == chosen


@settings(max_examples=50, deadline=None)
@given(values(ROOT))
def test_whatever_is_held_is_looked_through_for_contradictions(chosen: Settings) -> None:
    for finding in (*contradictions(chosen), *notices(chosen)):
        assert finding.message
        assert finding.path


@settings(max_examples=500, deadline=None)
@given(st.text("apprestt=[]{}\"'.#\n 1s-", max_size=60), st.text("app.rest=1[{\"' ", max_size=15))
def test_any_text_is_read_or_refused_with_problems(text: str, override: str) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        parse(text, [override])
    except SettingsError as refused:
        problems = refused.problems
        assert problems  # being refused without a reason is the failure looked for
    assert all(one.line is None or 1 <= one.line <= text.count("\n") + 1 for one in problems)


# --- the ambassador's texts --------------------------------------------------------------------------------------------------


@settings(max_examples=500)
@given(st.text("htps:/unix[]@?#.:%1a*{} \n-", max_size=24))
def test_any_url_of_an_upstream_is_taken_apart_or_refused(text: str) -> None:
    for tried in (text, f"http://{text}", f"tcp://{text}", f"unix:/{text}"):
        with contextlib.suppress(ValueError):
            url = split_upstream_url(tried)
            assert not set(url.authority) & set("/?#@ \n")
            assert url.path.startswith("/") if url.scheme == "unix" else 0 < url.port <= 65535
            if url.scheme != "unix":
                # What is said to be the authority leads to the same place again.
                again = f"{url.scheme}://{url.authority}"
                assert split_upstream_url(again) == url


@settings(max_examples=500)
@given(st.text("/ab{}*.?% ", max_size=16))
def test_any_path_pattern_can_be_matched_or_is_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        check_path_pattern(text)
        assert text.startswith("/")
        assert ("*" in text) <= is_prefix(text)
        assert len(template_names(text)) == text.count("{") == text.count("}")
