"""The kinds that hold others: lists, maps, commands and tables."""

# ruff: noqa: D102 # the base class says what each method promises

from __future__ import annotations

from pillion.settings.kinds import Kind, Schema, Text, UnfitError, quoted
from pillion.settings.lean import cast
from pillion.settings.problems import Place, dotted, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pillion.settings.record import Member, Record


class Strings(Kind):
    """A list of strings, held as tuple. With `alone`, a single one need not stand in a list."""

    def __init__(
        self,
        expected: str = "a list of strings",
        item: Text | None = None,
        *,
        alone: bool = False,
        optional: bool = False,
    ) -> None:
        super().__init__(expected, optional=optional)
        self.item = item or Text()
        self.alone = alone

    def read(self, value: object, place: Place, default: object) -> object:
        if self.alone and isinstance(value, str | int):
            return (self.item.read(value, place, ""),)
        if not isinstance(value, list):
            place.report(f"cannot use {quoted(value)}", self.expected)
            return default
        return tuple(self.item.read(one, place.child(at), "") for at, one in enumerate(value))

    def written(self, value: object) -> object:
        return list(cast("tuple[str, ...]", value))

    def plain_schema(self) -> Schema:
        one = self.item.schema()
        several: Schema = {"type": "array", "items": one}
        return {"anyOf": [one, several]} if self.alone else several

    def encode(self, value: object) -> object:
        return list(cast("tuple[str, ...]", value))

    def decode(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise self.unfit(value)
        return tuple(self.item.decode(one) for one in value)


class Command(Strings):
    """A command: a list of words, or one string that is split as a shell would, without running one."""

    def __init__(self) -> None:
        super().__init__('a list such as ["node", "server.js"], or a string', Text(empty=True))

    def read(self, value: object, place: Place, default: object) -> object:
        if isinstance(value, str):
            return self._split(value, place, default)
        words = super().read(value, place, default)
        if isinstance(value, list) and value[:1] in ([], [""]):
            place.report("cannot use a command without a program", self.expected)
        return words

    def _split(self, value: str, place: Place, default: object) -> object:
        import shlex  # only for commands in one string

        try:
            words = tuple(shlex.split(value))
        except ValueError as error:
            place.report(f"cannot split {quoted(value)} into words: {error}", self.expected)
            return default
        if not words or "\0" in value:
            place.report("cannot use a command without a program", self.expected)
            return default
        return words

    def plain_schema(self) -> Schema:
        items: Schema = {"type": "array", "items": self.item.schema(), "minItems": 1}
        return {"anyOf": [items, {"type": "string", "pattern": "\\S"}]}


class Strmap(Kind):
    """A table of strings with keys that the user chooses. `check` raises ValueError for a key that does not fit."""

    def __init__(
        self,
        expected: str,
        value: Text,
        *,
        key_pattern: str,
        check: Callable[[str], None],
        numbers: bool = False,
    ) -> None:
        super().__init__(expected)
        self.value = value
        self.key_pattern = key_pattern
        self.check = check
        self.numbers = numbers

    def read(self, value: object, place: Place, default: object) -> object:
        if not isinstance(value, dict):
            place.report(f"cannot use {quoted(value)}", self.expected)
            return default
        found: dict[str, str] = {}
        for key, one in value.items():
            at = place.child(key)
            try:
                self.check(key)
            except ValueError as error:
                at.report(f"cannot use this name: {error}")
            plain = (
                str(one)
                if self.numbers and isinstance(one, int) and not isinstance(one, bool)
                else one
            )
            text = self.value.read(plain, at, "")
            found[key] = text if isinstance(text, str) else ""
        return found

    def written(self, value: object) -> object:
        return dict(cast("Mapping[str, str]", value))

    def plain_schema(self) -> Schema:
        one = self.value.schema()
        if self.numbers:
            one = {"anyOf": [one, {"type": "integer"}]}
        return {
            "type": "object",
            "propertyNames": {"pattern": self.key_pattern},
            "additionalProperties": one,
        }

    def encode(self, value: object) -> object:
        return dict(cast("Mapping[str, str]", value))

    def decode(self, value: object) -> dict[str, str]:
        if not isinstance(value, dict):
            raise self.unfit(value)
        return {str(key): self.value.decode(one) for key, one in value.items()}


class Table(Kind):
    """A table of settings, held as a record; `base` has its defaults. `shorthand` names the member that a bare value stands for.

    `words` are bare words that stand for a whole record.
    """

    def __init__(
        self,
        base: Record,
        *,
        shorthand: str = "",
        optional: bool = False,
        words: Mapping[str, Record] | None = None,
    ) -> None:
        super().__init__("a table", optional=optional)
        self.base = base
        self.shorthand = shorthand
        self.words = words or {}
        self._usual: dict[str, object] = {}

    def member(self, name: str) -> Kind | None:
        """The kind of the setting `name` of this table, or None when there is none."""
        return next((one.spec.kind for one in self.base.members if one.name == name), None)

    def read(self, value: object, place: Place, default: object) -> object:
        """Members that are not written keep their default."""
        known = {member.name: member for member in self.base.members}
        if isinstance(value, str) and value in self.words:
            return self.words[value]
        if self.shorthand and not isinstance(value, dict):
            short = known[self.shorthand]
            read = short.spec.kind.read(value, place, getattr(self.base, short.attribute))
            return self.base.replace(**{short.attribute: read})
        if not isinstance(value, dict):
            place.report(f"cannot use {quoted(value)}", "a table with " + ", ".join(known))
            return default
        given: dict[str, object] = {}
        for key, one in value.items():
            if (member := known.get(key)) is None:
                near = suggest(key, one, place, known)
                place.child(key).report("unknown setting", suggestion=near)
            else:
                held = getattr(self.base, member.attribute)
                given[member.attribute] = member.spec.kind.read(one, place.child(key), held)
        for member in known.values():
            if member.spec.required and member.attribute not in given:
                place.report(
                    f"cannot do without {member.name}",
                    f"{member.name} = {member.spec.kind.expected}",
                )
        return self.base.replace(**given)

    def written(self, value: object) -> object:
        """Only what differs from the defaults; required members always."""
        table = {}
        for member in self.base.members:
            held = getattr(value, member.attribute)
            if held != getattr(self.base, member.attribute) or member.spec.required:
                table[member.name] = member.spec.kind.written(held)
        return table

    def plain_schema(self) -> Schema:
        properties: dict[str, object] = {}
        for member in self.base.members:
            kind = member.spec.kind
            described: Schema = {"description": member.spec.doc, **kind.schema()}
            held = getattr(self.base, member.attribute)
            if held is not None and not isinstance(kind, Table) and not member.spec.required:
                described["default"] = kind.written(held)
            properties[member.name] = described
        table: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        required = [member.name for member in self.base.members if member.spec.required]
        if required:
            table["required"] = required
        ways: list[Schema] = [{"enum": [*self.words]}] if self.words else []
        if self.shorthand:
            short = next(member for member in self.base.members if member.name == self.shorthand)
            ways.append(short.spec.kind.schema())
        return {"anyOf": [*ways, table]} if ways else table

    def encode(self, value: object) -> object:
        table: dict[str, object] = {}
        for member in self.base.members:
            held = getattr(value, member.attribute)
            table[member.attribute] = None if held is None else member.spec.kind.encode(held)
        return table

    def decode(self, value: object) -> Record:
        """Unknown members are ignored and missing ones keep their default: during an upgrade two versions read one file."""
        if not isinstance(value, dict):
            raise self.unfit(value)
        # Most of what is read is as it always is. Comparing it costs little, and hundreds of upstreams are read while requests wait.
        usual = self._usual or cast("dict[str, object]", self.encode(self.base))
        self._usual = usual
        if value == usual:
            return self.base
        given: dict[str, object] = {}
        for member in self.base.members:
            one = value.get(member.attribute, usual[member.attribute])
            if one == usual[member.attribute]:
                continue
            kind = member.spec.kind
            try:
                given[member.attribute] = (
                    None if one is None and kind.optional else kind.decode(one)
                )
            except UnfitError as unfit:
                raise UnfitError(f"{member.attribute}: {unfit.message}", unfit.expected) from unfit
        return self.base.replace(**given)


def suggest(key: str, value: object, place: Place, known: Mapping[str, Member]) -> str | None:
    """The nearest right name for an unknown key that holds `value`, with its path; None when nothing is near."""
    prefix = f"{dotted(place.path)}." if place.path else ""
    for member in known.values():
        if key in member.spec.also:
            return prefix + member.name
    # `[health.db]` for `[health.checks.db]`: the one member under which a user chooses names.
    maps = [one for one in known.values() if one.spec.kind.names_entries]
    named = dotted((*place.path, maps[0].name, key)) if len(maps) == 1 and place.path else None
    if near := nearest(key, known):
        kind = known[near].spec.kind
        is_table = isinstance(kind, Table) or kind.names_entries
        return prefix + near if is_table or not isinstance(value, dict) or not named else named
    for member in known.values():
        if isinstance(member.spec.kind, Table):
            for inner in member.spec.kind.base.members:
                if key == inner.name or key in inner.spec.also:
                    return f"{prefix}{member.name}.{inner.name}"
    return named if isinstance(value, dict) else None
