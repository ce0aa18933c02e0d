"""`dumps`, `loads` and `load` of the json module on its C scanner and encoder, without the module (and with it `re`).

Whatever one writes the other reads alike; tests hold both to the standard module. Raises ImportError where the C half is
not as expected.
"""

from __future__ import annotations

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

_SPACE = " \t\n\r"


def _constant(name: str) -> float:
    return {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}[name]


class _Context:
    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_constant)


def _refuse(value: object) -> object:
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _encoder(item: str, key: str) -> Callable[[object, int], tuple[str, ...]]:
    found: Callable[[object, int], tuple[str, ...]] = _json.make_encoder(
        None, _refuse, _json.encode_basestring_ascii, None, key, item, False, False, True
    )
    return found


_scan: Callable[[str, int], tuple[object, int]] = _json.make_scanner(_Context())  # type: ignore[arg-type]
_default = _encoder(", ", ": ")


class json:  # noqa: N801 # stands where the module would
    """The module's functions that keeper and scribe use."""

    @staticmethod
    def dumps(value: object, separators: tuple[str, str] | None = None) -> str:
        """Return `value` as JSON in ASCII. Raises TypeError for what is not JSON."""
        encode = _default if separators is None else _encoder(*separators)
        return "".join(encode(value, 0))

    @staticmethod
    def loads(text: str | bytes | bytearray) -> object:
        """Return the value that `text` holds. Raises ValueError."""
        if not isinstance(text, str):
            text = text.decode()
        start = len(text) - len(text.lstrip(_SPACE))
        try:
            value, end = _scan(text, start)
        except StopIteration as stop:
            raise ValueError(f"no JSON value at character {stop.value}") from None
        if text[end:].strip(_SPACE):
            raise ValueError(f"more after the JSON value, at character {end}")
        return value

    @staticmethod
    def load(file: IO[str] | IO[bytes]) -> object:
        """Return the value that the rest of `file` holds. Raises ValueError."""
        return json.loads(file.read())


# The shape of the C half differs between versions: find out now, not in the middle of a run.
try:
    if json.loads(json.dumps({"a": [1, 2.5, "é", None, True]})) != {"a": [1, 2.5, "é", None, True]}:
        raise ImportError("the C half of json does not do what it should")
except (TypeError, AttributeError) as error:
    raise ImportError("the C half of json is not as expected") from error
