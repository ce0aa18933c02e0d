"""The kind of a table that a user fills freely: what stands in it, a template reads."""

# ruff: noqa: D102 # the base class says what each method promises

from __future__ import annotations

import math
from types import MappingProxyType

from pillion.settings.kinds import Kind, Schema, quoted
from pillion.settings.lean import cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.settings.problems import Place

NO_VALUES: Mapping[str, object] = MappingProxyType({})
"""The default of such a table: nobody can add to it."""

_DEEPEST = 16


class Values(Kind):
    """A table of whatever JSON can hold: texts, numbers, true and false, lists and tables of them."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)

    def read(self, value: object, place: Place, default: object) -> object:
        if not isinstance(value, dict):
            place.report(f"cannot use {quoted(value)}", self.expected)
            return default
        _look_through(value, place, 0)
        return value

    def written(self, value: object) -> object:
        return dict(cast("Mapping[str, object]", value))

    def plain_schema(self) -> Schema:
        return {"type": "object"}

    def encode(self, value: object) -> object:
        return dict(cast("Mapping[str, object]", value))

    def decode(self, value: object) -> dict[str, object]:
        if not isinstance(value, dict):
            raise self.unfit(value)
        return {str(key): one for key, one in value.items()}


def _look_through(value: object, place: Place, depth: int) -> None:
    """Report what TOML has and JSON has not: dates, and numbers that are none."""
    if depth > _DEEPEST:
        place.report(f"cannot use tables nested more than {_DEEPEST} deep")
    elif isinstance(value, dict):
        for key, one in value.items():
            _look_through(one, place.child(key), depth + 1)
    elif isinstance(value, list):
        for at, one in enumerate(value):
            _look_through(one, place.child(at), depth + 1)
    elif isinstance(value, float):
        if not math.isfinite(value):
            place.report(f"cannot use {value}", "a number")
    elif not isinstance(value, str | int):
        place.report(f"cannot use {quoted(value)}: a date is no value here", "a string, in quotes")
