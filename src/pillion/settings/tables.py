"""The kinds that hold many tables of one sort: under names that the user chooses, `[health.checks.db]`, or in a list,
`[[config.files]]`.
"""

# ruff: noqa: D102 # the base class says what each method promises

from __future__ import annotations

from types import MappingProxyType

from pillion.settings.kinds import Kind, Schema, UnfitError, quoted
from pillion.settings.lean import cast
from pillion.settings.shapes import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pillion.settings.problems import Place
    from pillion.settings.record import Record

NO_RECORDS: Mapping[str, Record] = MappingProxyType({})
"""The default of a map of records: nobody can add to it."""

_MOST = 1000


class Tablemap(Kind):
    """Tables under names of the user's, held as a mapping from name to record.

    `check` raises ValueError for a name that does not fit, and `key_pattern` says the same to JSON Schema; `sample` is a name
    for documentation. There are at most `most` of them.
    """

    names_entries = True

    def __init__(
        self,
        base: Record | Table,
        *,
        sample: str,
        check: Callable[[str], None],
        key_pattern: str,
        most: int = _MOST,
    ) -> None:
        super().__init__("a table of tables, each under a name")
        self.table = base if isinstance(base, Table) else Table(base)
        self.sample = sample
        self.check = check
        self.key_pattern = key_pattern
        self.most = most

    def read(self, value: object, place: Place, default: object) -> object:
        if not isinstance(value, dict):
            place.report(f"cannot use {quoted(value)}", self.expected)
            return default
        if len(value) > self.most:
            place.report(f"cannot use {len(value)} of them", f"{self.most} at most")
            return default
        found: dict[str, Record] = {}
        for key, one in value.items():
            at = place.child(key)
            try:
                self.check(key)
            except ValueError as error:
                at.report(f"cannot use this name: {error}")
            found[key] = cast("Record", self.table.read(one, at, self.table.base))
        return found

    def written(self, value: object) -> object:
        held = cast("Mapping[str, Record]", value)
        return {key: self.table.written(one) for key, one in held.items()}

    def plain_schema(self) -> Schema:
        return {
            "type": "object",
            "propertyNames": {"pattern": self.key_pattern},
            "additionalProperties": self.table.schema(),
            "maxProperties": self.most,
        }

    def encode(self, value: object) -> object:
        held = cast("Mapping[str, Record]", value)
        return {key: self.table.encode(one) for key, one in held.items()}

    def decode(self, value: object) -> dict[str, Record]:
        if not isinstance(value, dict):
            raise self.unfit(value)
        return {str(key): _decoded(self.table, one, str(key)) for key, one in value.items()}


class Tablelist(Kind):
    """A list of tables, held as a tuple of records; `most` of them at most.

    With `alone`, a single one need not stand in a list; what the table is short for will do as well.
    """

    def __init__(self, base: Record | Table, *, most: int = _MOST, alone: bool = False) -> None:
        super().__init__("a list of tables")
        self.table = base if isinstance(base, Table) else Table(base)
        self.most = most
        self.alone = alone

    def read(self, value: object, place: Place, default: object) -> object:
        if self.alone and isinstance(value, dict | str):
            return (self.table.read(value, place, self.table.base),)
        if not isinstance(value, list):
            place.report(f"cannot use {quoted(value)}", self.expected)
            return default
        if len(value) > self.most:
            place.report(f"cannot use {len(value)} of them", f"{self.most} at most")
            return default
        base = self.table.base
        return tuple(self.table.read(one, place.child(at), base) for at, one in enumerate(value))

    def written(self, value: object) -> object:
        return [self.table.written(one) for one in cast("tuple[Record, ...]", value)]

    def plain_schema(self) -> Schema:
        one = self.table.schema()
        several: Schema = {"type": "array", "items": one, "maxItems": self.most}
        return {"anyOf": [one, several]} if self.alone else several

    def encode(self, value: object) -> object:
        return [self.table.encode(one) for one in cast("tuple[Record, ...]", value)]

    def decode(self, value: object) -> tuple[Record, ...]:
        if not isinstance(value, list):
            raise self.unfit(value)
        return tuple(_decoded(self.table, one, str(at)) for at, one in enumerate(value))


def inner_table(kind: Kind | None) -> Table | None:
    """The table of one entry of a kind that holds many, and the table itself of one that is one; None for any other."""
    if isinstance(kind, Tablemap | Tablelist):
        return kind.table
    return kind if isinstance(kind, Table) else None


def _decoded(table: Table, value: object, name: str) -> Record:
    try:
        return table.decode(value)
    except UnfitError as unfit:
        raise UnfitError(f"{name}: {unfit.message}", unfit.expected) from unfit
