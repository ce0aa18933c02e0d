"""The kinds of values that carry a unit: spans of time, amounts of bytes, shares, rates."""

# ruff: noqa: D102 # the base class says what each method promises

from pillion.settings.kinds import Kind, Schema
from pillion.settings.units import (
    DURATION_PATTERN,
    PERCENTAGE_PATTERN,
    RATE_PATTERN,
    SIZE_PATTERN,
    format_duration,
    format_percentage,
    format_rate,
    format_size,
    parse_duration,
    parse_percentage,
    parse_rate,
    parse_size,
)

_DAY_S = 86_400.0
_AMBIGUOUS = ("KB", "MB", "GB", "TB")


class Duration(Kind):
    """A time span, `"1m30s"`, held in seconds."""

    suffix = "_s"

    def __init__(
        self,
        minimum: float = 0.0,
        maximum: float = 365 * _DAY_S,
        *,
        optional: bool = False,
        zero_word: str = "",
    ) -> None:
        low = f", {format_duration(minimum)} at least" if minimum else ""
        high = f", {format_duration(maximum)} at most" if maximum != 365 * _DAY_S else ""
        none = f', or "{zero_word}"' if zero_word else ""
        super().__init__(
            f'a duration such as "10s", "500ms" or "1m30s"{low}{high}{none}', optional=optional
        )
        self.minimum = minimum
        self.maximum = maximum
        self.zero_word = zero_word
        """The word for 0 where that means that there is no bound; empty: there is none."""

    def parse(self, value: object) -> float:
        if self.zero_word and value == self.zero_word:
            return 0.0
        if not isinstance(value, str):
            near = (
                f'"{value}s"'
                if isinstance(value, int | float) and not isinstance(value, bool)
                else None
            )
            raise self.unfit(value, suggestion=near)
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            near = f'"{value}s"' if value.isdecimal() else None
            raise self.unfit(value, str(error), near) from error
        if not self.minimum <= seconds <= self.maximum:
            raise self.unfit(value, "out of range")
        return seconds

    def written(self, value: object) -> object:
        if self.zero_word and value == 0.0:
            return self.zero_word
        return format_duration(value) if isinstance(value, float) else super().written(value)

    def plain_schema(self) -> Schema:
        return _or_word(self.zero_word, {"type": "string", "pattern": DURATION_PATTERN})

    def decode(self, value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.unfit(value)
        return float(value)


class Size(Kind):
    """An amount of bytes, `"512M"`."""

    suffix = "_bytes"

    def __init__(
        self,
        minimum: int,
        maximum: int = 1 << 50,
        *,
        none_words: tuple[str, ...] = (),
        zero_word: str = "",
    ) -> None:
        high = f", {format_size(maximum)} at most" if maximum != 1 << 50 else ""
        none = f', or "{zero_word}"' if zero_word else ""
        super().__init__(
            f'a size such as "512M" or "64K", {format_size(minimum)} at least{high}{none}',
            optional=bool(none_words),
            none_words=none_words,
        )
        self.minimum = minimum
        self.maximum = maximum
        self.zero_word = zero_word
        """The word for 0 where that means that there is no bound; empty: there is none."""

    def parse(self, value: object) -> int:
        if self.zero_word and value == self.zero_word:
            return 0
        if not isinstance(value, str):
            near = (
                f'"{format_size(value)}"'
                if isinstance(value, int) and value > 0 and not isinstance(value, bool)
                else None
            )
            raise self.unfit(value, suggestion=near)
        try:
            size = parse_size(value)
        except ValueError as error:
            near = value.strip().upper().removesuffix("B")
            why = (
                f"some read {value[-2:]} as powers of 1000, some of 1024"
                if value[-2:] in _AMBIGUOUS
                else str(error)
            )
            raise self.unfit(value, why, f'"{near}"' if _is_size(near) else None) from error
        if not self.minimum <= size <= self.maximum:
            raise self.unfit(value, "out of range")
        return size

    def written(self, value: object) -> object:
        if self.zero_word and value == 0:
            return self.zero_word
        return format_size(value) if isinstance(value, int) else super().written(value)

    def plain_schema(self) -> Schema:
        return _or_word(self.zero_word, {"type": "string", "pattern": SIZE_PATTERN})

    def decode(self, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.unfit(value)
        return value


def _is_size(text: str) -> bool:
    try:
        parse_size(text)
    except ValueError:
        return False
    return True


class Percentage(Kind):
    """A share, `"20%"`, held as a fraction from 0.0 to 1.0."""

    def __init__(self, *, optional: bool = False, none_words: tuple[str, ...] = ()) -> None:
        words = f', or "{none_words[0]}"' if none_words else ""
        super().__init__(
            f'a percentage such as "20%", 100% at most{words}',
            optional=optional or bool(none_words),
            none_words=none_words,
        )

    def parse(self, value: object) -> float:
        if not isinstance(value, str):
            near = (
                f'"{value}%"'
                if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100
                else None
            )
            raise self.unfit(value, suggestion=near)
        try:
            return parse_percentage(value)
        except ValueError as error:
            raise self.unfit(value, str(error)) from error

    def written(self, value: object) -> object:
        return format_percentage(value) if isinstance(value, float) else super().written(value)

    def plain_schema(self) -> Schema:
        return {"type": "string", "pattern": PERCENTAGE_PATTERN}

    def decode(self, value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.unfit(value)
        return float(value)


class Rate(Kind):
    """How often something may happen, `"200/s"`, held as a number per second."""

    def __init__(self) -> None:
        super().__init__(
            'a rate such as "200/s", "1000/m" or "60/h", or "none"', none_words=("none",)
        )
        self.optional = True

    def parse(self, value: object) -> float:
        if not isinstance(value, str):
            near = (
                f'"{value}/s"'
                if isinstance(value, int) and not isinstance(value, bool) and value > 0
                else None
            )
            raise self.unfit(value, suggestion=near)
        try:
            return parse_rate(value)
        except ValueError as error:
            raise self.unfit(value, str(error), _near_rate(value)) from error

    def written(self, value: object) -> object:
        return format_rate(value) if isinstance(value, float) else super().written(value)

    def plain_schema(self) -> Schema:
        return {"type": "string", "pattern": RATE_PATTERN}

    def decode(self, value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
            raise self.unfit(value)
        return float(value)


def _near_rate(text: str) -> str | None:
    """What NGINX's `200r/s` and the like would be here."""
    count, _, period = text.replace(" ", "").lower().partition("/")
    near = f"{count.rstrip('req')}/{period[:1] or 's'}"
    try:
        parse_rate(near)
    except ValueError:
        return None
    return f'"{near}"'


def _or_word(word: str, schema: Schema) -> Schema:
    return {"anyOf": [{"enum": [word]}, schema]} if word else schema
