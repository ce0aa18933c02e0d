"""Durations, sizes, percentages and rates as people write them. Exact: counted in whole nanoseconds and bytes, never summed in floats.

A duration is numbers with units from the largest down: `500ms`, `10s`, `1m30s`, `1.5h`, `7d`. A size is one number with B, K, M, G
or T, in powers of 1024; `KiB`, `MiB`, `GiB`, `TiB` are the same. `MB` and the like are refused, because half of the world reads
them as powers of 1000. A rate is a whole number in a second, minute, hour or day: `200/s`, `1000/m`.
"""

_NS = {
    "d": 86_400_000_000_000,
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
}
_BYTES = {"B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_MOST_DIGITS = 20
_TEN = tuple(int("1" + "0" * power) for power in range(_MOST_DIGITS + 1))
_DIGITS = frozenset("0123456789")

_N = r"[0-9]+(\.[0-9]+)?"
DURATION_PATTERN = rf"^(?=.)({_N}d)?({_N}h)?({_N}m)?({_N}s)?({_N}ms)?$"
SIZE_PATTERN = rf"^{_N}(B|[KMGT](iB)?)$"
PERCENTAGE_PATTERN = rf"^{_N}%$"
RATE_PATTERN = "^0*[1-9][0-9]*/[smhd]$"
_PERIODS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MOST_IN_A_PERIOD = 1_000_000_000


def parse_duration(text: str) -> float:
    """Seconds. Raises ValueError when `text` is no duration."""
    units = list(_NS)
    total_ns = 0
    at = 0
    if not text:
        raise ValueError("empty")
    while at < len(text):
        digits, decimals, at = _number(text, at)
        unit = "ms" if text.startswith("ms", at) else text[at : at + 1]
        if unit not in units:
            raise ValueError(
                "no unit" if not unit else f"unknown unit, or units out of order: {unit}"
            )
        # Each unit once, from the largest down, as every tool prints them.
        units = units[units.index(unit) + 1 :]
        at += len(unit)
        scaled, rest = divmod(digits * _NS[unit], _TEN[decimals])
        if rest:
            raise ValueError("finer than a nanosecond")
        total_ns += scaled
    return total_ns / 1_000_000_000


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` turns into `seconds` again (to the nanosecond)."""
    # Whole seconds apart: times 10^9, a float would lose the last of them.
    whole = int(seconds)
    rest = whole * 1_000_000_000 + round((seconds - whole) * 1_000_000_000)
    text = ""
    for unit, ns in _NS.items():
        count, rest = divmod(rest, ns)
        if count:
            text += f"{count}{unit}"
    if rest:
        text = f"{seconds:.9f}".rstrip("0") + "s"
    return text or "0s"


def parse_size(text: str) -> int:
    """Bytes. Raises ValueError when `text` is no size."""
    digits, decimals, at = _number(text, 0)
    unit = text[at:]
    if len(unit) == 3 and unit.endswith("iB") and unit[0] in "KMGT":
        unit = unit[0]
    if unit not in _BYTES:
        raise ValueError("no unit" if not unit else f"unknown unit: {unit}")
    size, rest = divmod(digits * _BYTES[unit], _TEN[decimals])
    if rest:
        raise ValueError("not a whole number of bytes")
    return size


def format_size(size_bytes: int) -> str:
    """The size in the largest unit that divides it: `512M`, `1536K`, `1000B`; `parse_size` gives it back exactly."""
    for unit in ("T", "G", "M", "K"):
        count, rest = divmod(size_bytes, _BYTES[unit])
        if count and not rest:
            return f"{count}{unit}"
    return f"{size_bytes}B"


def parse_percentage(text: str) -> float:
    """The fraction, from 0.0 to 1.0. Raises ValueError when `text` is no percentage, or above 100%."""
    digits, decimals, at = _number(text, 0)
    if text[at:] != "%":
        raise ValueError("no % sign")
    if digits > 100 * _TEN[decimals]:
        raise ValueError("above 100%")
    return digits / (100 * _TEN[decimals])


def format_percentage(fraction: float) -> str:
    """`0.2` as `20%`; `parse_percentage` gives the same fraction."""
    percent = round(fraction * 100, 10)
    return f"{int(percent)}%" if percent == int(percent) else f"{percent:.10f}".rstrip("0") + "%"


def parse_rate(text: str) -> float:
    """How often in a second. Raises ValueError when `text` is no rate, or none at all."""
    count, slash, period = text.partition("/")
    if not slash or period not in _PERIODS_S:
        raise ValueError("no period" if not period else f"unknown period: {period}")
    if not count or not _DIGITS.issuperset(count) or len(count) > _MOST_DIGITS:
        raise ValueError("not a whole number")
    if not 1 <= int(count) <= _MOST_IN_A_PERIOD:
        raise ValueError(f"not from 1 to {_MOST_IN_A_PERIOD}")
    return int(count) / _PERIODS_S[period]


def format_rate(per_second: float) -> str:
    """`200.0` as `200/s`; `parse_rate` gives the same number for every one that it has ever given."""
    for period, seconds in _PERIODS_S.items():
        count = round(per_second * seconds)
        if count and count / seconds == per_second:
            return f"{count}/{period}"
    return f"{max(1, round(per_second * 86400))}/d"


def _number(text: str, at: int) -> tuple[int, int, int]:
    """Digits without the point, how many of them are decimals, and where the number ends."""
    start = at
    while at < len(text) and text[at] in _DIGITS:
        at += 1
    whole = text[start:at]
    decimals = ""
    if whole and text.startswith(".", at):
        start = at + 1
        at = start
        while at < len(text) and text[at] in _DIGITS:
            at += 1
        decimals = text[start:at]
        if not decimals:
            raise ValueError("a digit is missing after the point")
    if not whole:
        raise ValueError("no number")
    if len(whole) + len(decimals) > _MOST_DIGITS:
        raise ValueError("too many digits")
    return int(whole + decimals), len(decimals), at
