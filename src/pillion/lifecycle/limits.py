"""What a limit may be, in one place for the command line and the API, so that both refuse the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pillion.errors import UsageError
from pillion.settings.units import format_size, parse_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEYS = ("memory", "cpu", "processes", "open_files")
LIFT = "none"
SMALLEST_MEMORY = 1 << 20

Memory: TypeAlias = Annotated[int, Meta(ge=SMALLEST_MEMORY, description="bytes")]
Cpu: TypeAlias = Annotated[float, Meta(ge=0.01, le=4096, description="cores")]
Count: TypeAlias = Annotated[int, Meta(ge=1, le=1 << 22)]


class LimitsChange(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """Limits to change: bytes, cores, counts. A missing key stays as it is, null lifts the limit."""

    memory: Memory | UnsetType | None = UNSET
    cpu: Cpu | UnsetType | None = UNSET
    processes: Count | UnsetType | None = UNSET
    open_files: Count | UnsetType | None = UNSET

    @property
    def is_empty(self) -> bool:
        """True when nothing would change."""
        return all(getattr(self, key) is UNSET for key in KEYS)


def parse_limits(words: Sequence[str]) -> LimitsChange:
    """Return what `memory=512M cpu=1.5 processes=none` asks for; `UsageError` for what is no limit."""
    values: dict[str, int | float | None] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or key not in KEYS:
            raise UsageError(
                f"cannot read the limit {word!r}: write KEY=VALUE with one of {', '.join(KEYS)}, "
                "for example memory=512M cpu=1.5"
            )
        if key in values:
            raise UsageError(f"cannot set {key} twice: {word!r}; give it once")
        values[key] = None if text == LIFT else _value(key, text)
    try:
        change = msgspec.convert(values, LimitsChange)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"cannot set these limits: {error}; see `pillion limits --help`"
        ) from error
    if change.is_empty:
        raise UsageError("cannot change nothing: name a limit, for example memory=512M")
    return change


def _value(key: str, text: str) -> int | float:
    try:
        if key == "memory":
            return parse_size(text)
        return float(text) if key == "cpu" else int(text)
    except ValueError as error:
        example = {"memory": "512M", "cpu": "1.5"}.get(key, "200")
        raise UsageError(
            f"cannot use {text!r} as {key}: {error}; write it like {key}={example}, or {key}={LIFT}"
        ) from error


def describe_limits(limits: Mapping[str, int | float | None]) -> str:
    """One line for people: `memory 512M, cpu 1.5`; `none` when there is no limit."""
    parts = []
    for key in KEYS:
        value = limits.get(key)
        if value is not None:
            text = format_size(int(value)) if key == "memory" else f"{value:g}"
            parts.append(f"{key} {text}")
    return ", ".join(parts) or "none"
