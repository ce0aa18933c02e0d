"""Status codes of HTTP as settings name them: one, a range, or one of a few."""

# ruff: noqa: D102 # the base class says what each method promises

from pillion.settings.kinds import Schema, Text, Whole

STATUS_PATTERN = r"^[1-5][0-9]{2}(-[1-5][0-9]{2})?$"


def check_status(text: str) -> None:
    """Raise ValueError unless `text` is a status or a range of them: `204`, `200-399`."""
    low, _, high = text.partition("-")
    codes = [low, high or low]
    if not all(len(code) == 3 and code.isascii() and code.isdigit() for code in codes):
        raise ValueError("not a status or a range of them")
    if not 100 <= int(codes[0]) <= int(codes[1]) <= 599:
        raise ValueError("not a range within 100-599")


class StatusRange(Text):
    """Status codes of HTTP: one, or a range."""

    def __init__(self) -> None:
        super().__init__(
            'a status such as "204", or a range such as "200-399"',
            check=check_status,
            pattern=STATUS_PATTERN,
        )

    def parse(self, value: object) -> str:
        plain = isinstance(value, int) and not isinstance(value, bool)
        return super().parse(str(value) if plain else value)

    def plain_schema(self) -> Schema:
        return {
            "anyOf": [super().plain_schema(), {"type": "integer", "minimum": 100, "maximum": 599}]
        }


class Status(Whole):
    """One of a few status codes."""

    def __init__(self, codes: tuple[int, ...]) -> None:
        listed = ", ".join(map(str, codes[:-1]))
        super().__init__(min(codes), max(codes), f"one of {listed} and {codes[-1]}")
        self.codes = codes

    def parse(self, value: object) -> int:
        code = super().parse(value)
        if code not in self.codes:
            raise self.unfit(value)
        return code

    def plain_schema(self) -> Schema:
        return {"enum": list(self.codes)}
