"""How each sort of value is written, read, described and stored, in one place per sort: reader, documentation, JSON Schema and
`settings.json` cannot disagree, because each asks the same kind.
"""

# ruff: noqa: D102 # the base class says what each method promises

from __future__ import annotations

from pillion.settings.problems import Place, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Schema = dict[str, object]


class UnfitError(ValueError):
    """A value that its kind cannot use. Readers turn it into a finding with a place."""

    def __init__(self, message: str, expected: str = "", suggestion: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.suggestion = suggestion


def quoted(value: object) -> str:
    """A TOML value in one short line, for messages."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    elif isinstance(value, dict):
        return "a table"
    elif isinstance(value, list):
        return "an array"
    else:
        text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


class Kind:
    """A sort of value.

    `expected` completes "expected ..." in a message; `suffix` is the unit at the end of the field's name; `optional` says
    that None is a value, and `none_words` are how a user writes it.
    """

    suffix = ""
    names_entries = False
    """Whether its keys are names of the user's, with a table under each."""

    def __init__(
        self, expected: str, *, optional: bool = False, none_words: tuple[str, ...] = ()
    ) -> None:
        self.expected = expected
        self.optional = optional
        self.none_words = none_words

    def read(self, value: object, place: Place, default: object) -> object:
        """The value as a field holds it; what is wrong is reported to `place`, and `default` returned."""
        if isinstance(value, str) and value in self.none_words:
            return None
        try:
            return self.parse(value)
        except UnfitError as unfit:
            place.report(unfit.message, unfit.expected, unfit.suggestion)
            return default

    def parse(self, value: object) -> object:
        """The field's value for what TOML gave. Raises UnfitError."""
        raise NotImplementedError

    def written(self, value: object) -> object:
        """The inverse of `read`: what a user would have written, as TOML types."""
        return self.none_words[0] if value is None else value

    def schema(self) -> Schema:
        """JSON Schema of what a user may write, None included."""
        plain = self.plain_schema()
        return {"anyOf": [{"enum": list(self.none_words)}, plain]} if self.none_words else plain

    def plain_schema(self) -> Schema:
        """JSON Schema of the values proper."""
        raise NotImplementedError

    def encode(self, value: object) -> object:
        """The field's value as JSON types."""
        return value

    def decode(self, value: object) -> object:
        """The inverse of `encode`. Raises UnfitError."""
        raise NotImplementedError

    def unfit(self, value: object, why: str = "", suggestion: str | None = None) -> UnfitError:
        """The refusal of `value`."""
        because = f": {why}" if why else ""
        return UnfitError(f"cannot use {quoted(value)}{because}", self.expected, suggestion)


class Text(Kind):
    """A string. `check` raises ValueError for one that does not fit; `pattern` says the same to JSON Schema."""

    def __init__(
        self,
        expected: str = "a string",
        *,
        check: Callable[[str], None] | None = None,
        pattern: str = "",
        optional: bool = False,
        none_words: tuple[str, ...] = (),
        empty: bool = False,
    ) -> None:
        super().__init__(expected, optional=optional, none_words=none_words)
        self.check = check
        self.pattern = pattern
        self.empty = empty

    def parse(self, value: object) -> str:
        if not isinstance(value, str):
            raise self.unfit(
                value, suggestion=f'"{quoted(value)}"' if isinstance(value, int | float) else None
            )
        if "\0" in value:
            raise self.unfit(value, "a NUL character cannot be passed to a program")
        if not value and not self.empty:
            raise self.unfit(value, "it is empty")
        if self.check is not None:
            try:
                self.check(value)
            except ValueError as error:
                raise self.unfit(value, str(error)) from error
        return value

    def plain_schema(self) -> Schema:
        schema: Schema = {"type": "string"}
        if not self.empty:
            schema["minLength"] = 1
        schema["pattern"] = self.pattern or "^[^\\u0000]*$"
        return schema

    def decode(self, value: object) -> str:
        if not isinstance(value, str):
            raise self.unfit(value)
        return value


class Choice(Text):
    """One of a few words. `spellings` maps accepted other forms to the word that the field holds."""

    def __init__(
        self,
        words: Iterable[str],
        spellings: dict[str, str] | None = None,
        *,
        optional: bool = False,
    ) -> None:
        self.words = tuple(words)
        self.spellings = spellings or {}
        expected = "one of " + ", ".join(f'"{word}"' for word in self.words)
        super().__init__(expected, optional=optional)

    def parse(self, value: object) -> str:
        text = super().parse(value)
        if text in self.words:
            return text
        if text in self.spellings:
            return self.spellings[text]
        near = (
            nearest(text, self.words)
            or nearest(text.lower(), self.words)
            or nearest(text.upper(), self.words)
        )
        raise self.unfit(value, suggestion=f'"{near}"' if near else None)

    def plain_schema(self) -> Schema:
        return {"enum": [*self.words, *self.spellings]}


class Flag(Kind):
    """true or false."""

    def __init__(self, *, optional: bool = False) -> None:
        super().__init__("true or false", optional=optional)

    def parse(self, value: object) -> bool:
        if not isinstance(value, bool):
            near = (
                value.lower()
                if isinstance(value, str) and value.lower() in ("true", "false")
                else None
            )
            raise self.unfit(value, suggestion=near)
        return value

    def plain_schema(self) -> Schema:
        return {"type": "boolean"}

    def decode(self, value: object) -> bool:
        return self.parse(value)


class Whole(Kind):
    """A whole number within bounds."""

    def __init__(
        self,
        minimum: int,
        maximum: int,
        expected: str = "",
        *,
        none_words: tuple[str, ...] = (),
        optional: bool = False,
    ) -> None:
        super().__init__(
            expected or f"a whole number from {minimum} to {maximum}",
            optional=optional or bool(none_words),
            none_words=none_words,
        )
        self.minimum = minimum
        self.maximum = maximum

    def parse(self, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.unfit(
                value, suggestion=value if isinstance(value, str) and value.isdecimal() else None
            )
        if not self.minimum <= value <= self.maximum:
            raise self.unfit(value)
        return value

    def plain_schema(self) -> Schema:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}

    def decode(self, value: object) -> int:
        return self.parse(value)


class Number(Kind):
    """A number within bounds, held as float."""

    def __init__(
        self,
        minimum: float,
        maximum: float,
        expected: str = "",
        *,
        none_words: tuple[str, ...] = (),
    ) -> None:
        super().__init__(
            expected or f"a number from {minimum:g} to {maximum:g}",
            optional=bool(none_words),
            none_words=none_words,
        )
        self.minimum = minimum
        self.maximum = maximum

    def parse(self, value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.unfit(value)
        # A NaN fails every comparison, so it is refused here too.
        if not self.minimum <= value <= self.maximum:
            raise self.unfit(value)
        return float(value)

    def written(self, value: object) -> object:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return super().written(value)

    def plain_schema(self) -> Schema:
        return {"type": "number", "minimum": self.minimum, "maximum": self.maximum}

    def decode(self, value: object) -> float:
        return self.parse(value)
