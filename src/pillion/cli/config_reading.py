"""Files of values, read: TOML, YAML or JSON to JSON types, and nothing that could not be written again."""

from __future__ import annotations

import datetime
import math
import tomllib
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pillion.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Hashable

FORMATS = ("json", "toml", "yaml")
MOST_NODES = 1_000_000
"""Aliases of YAML can make a thousand lines into any number of values."""
MOST_DEPTH = 64

_ENDINGS = {".json": "json", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml"}


def format_of(path: str, wanted: str | None) -> str:
    """The format that is wanted, else the one of the path's ending. Raises `UsageError` when there is neither."""
    if wanted is not None:
        return wanted
    for ending, form in _ENDINGS.items():
        if path.lower().endswith(ending):
            return form
    raise UsageError(f"cannot tell the format of {path}: add --format {', '.join(FORMATS)}")


def read_tree(data: bytes, form: str, source: str) -> dict[str, object]:
    """The table that `data` is, as JSON types. Raises `UsageError` naming `source` and what is wrong."""
    try:
        tree = _READERS[form](data)
    except RecursionError as error:
        raise UsageError(f"cannot read {source}: nested too deeply") from error
    except ValueError as error:
        raise UsageError(f"cannot read {source} as {form.upper()}: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise UsageError(f"cannot import {source}: it is no table of names and values")
    plain = _Plain(source).of(tree, "", 0)
    assert isinstance(plain, dict)
    return plain


def _json(data: bytes) -> object:
    try:
        value: object = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
    return value


def _toml(data: bytes) -> object:
    return tomllib.loads(data.decode("utf-8-sig"))


def _yaml(data: bytes) -> object:
    import yaml

    base = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

    class Loader(base):  # type: ignore[misc, valid-type] # one or the other, with the same methods
        """Leaves times as the text that was written, and takes no name twice."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> object:
            seen: set[Hashable] = set()
            for name, _ in node.value:
                word = name.value if isinstance(name, yaml.ScalarNode) else None
                if word in seen and word != "<<":
                    mark = name.start_mark
                    raise ValueError(f"line {mark.line + 1}: {word} is there twice")
                seen.add(word)
            return super().construct_mapping(node, deep=deep)

    Loader.yaml_implicit_resolvers = {
        first: [(tag, regexp) for tag, regexp in pairs if tag != "tag:yaml.org,2002:timestamp"]
        for first, pairs in base.yaml_implicit_resolvers.items()
    }
    try:
        value: object = yaml.load(data, Loader=Loader)  # noqa: S506 # a safe one
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    return value


_READERS = {"json": _json, "toml": _toml, "yaml": _yaml}


class _Plain:
    """Turns what a reader gave into JSON types, as long as it is not too much."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._nodes = 0

    def of(self, value: object, path: str, depth: int) -> object:
        self._nodes += 1
        if self._nodes > MOST_NODES or depth > MOST_DEPTH:
            raise UsageError(
                f"cannot import {self._source}: more than {MOST_NODES} values, or nested deeper than {MOST_DEPTH}"
            )
        if isinstance(value, dict):
            return {
                self._name(name, path): self.of(
                    one, f"{path}/{name}" if path else f"{name}", depth + 1
                )
                for name, one in value.items()
            }
        if isinstance(value, list):
            return [self.of(one, f"{path}/{at}", depth + 1) for at, one in enumerate(value)]
        return self._scalar(value, path)

    def _scalar(self, value: object, path: str) -> object:
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"cannot import {path} of {self._source}: JSON has no {value}")
        if value is None or isinstance(value, str | int | float):
            return value
        if isinstance(value, datetime.datetime | datetime.date | datetime.time):
            return value.isoformat()
        raise UsageError(
            f"cannot import {path} of {self._source}: JSON has no {type(value).__name__}"
        )

    def _name(self, name: object, path: str) -> str:
        if isinstance(name, str):
            return name
        if isinstance(name, int) and not isinstance(name, bool):
            return str(name)
        raise UsageError(
            f"cannot import {path or 'this'} of {self._source}: {name!r} is no name; put it in quotes"
        )


class Plan(NamedTuple):
    """What an import does: for each key its value and the revision that it is at in the layer, 0 for none."""

    new: dict[str, object]
    changed: dict[str, object]
    unchanged: int
    others: int
    """Keys of the layer below the same prefix that the file does not have; they stay."""

    @property
    def values(self) -> dict[str, object]:
        """Everything that is written, in the order of keys."""
        return dict(sorted({**self.new, **self.changed}.items()))


def plan_import(wanted: dict[str, object], held: dict[str, object]) -> Plan:
    """Compare the keys of a file with those that the layer has below the same prefix."""
    new = {key: value for key, value in wanted.items() if key not in held}
    changed = {
        key: value for key, value in wanted.items() if key in held and not same(value, held[key])
    }
    others = sum(key not in wanted for key in held)
    return Plan(new, changed, len(wanted) - len(new) - len(changed), others)


def same(one: object, other: object) -> bool:
    """Whether two values are the same JSON: 1, 1.0 and true are three."""
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")
