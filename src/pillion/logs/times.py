# ruff: noqa: ERA001 # the next line is for Cython
# cython: annotation_typing=False
"""Times as programs print them, to nanoseconds since the epoch, without a regular expression on the hot path.

A time without a zone is taken as UTC or as local time, whichever is nearer to its arrival; a time without a year
takes the arrival's. A time that is not plausible (31 days before its arrival, an hour after) is no time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pillion.logs import raw

if TYPE_CHECKING:
    from collections.abc import Callable

# Not exported: compiled, these are C numbers.
_NS = 1_000_000_000
_PAST_NS = 31 * 86_400 * _NS
_AHEAD_NS = 3_600 * _NS
_NO_ZONE = 1 << 30

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            (b"Jan", b"jan", b"JAN"),
            (b"Feb", b"feb", b"FEB"),
            (b"Mar", b"mar", b"MAR"),
            (b"Apr", b"apr", b"APR"),
            (b"May", b"may", b"MAY"),
            (b"Jun", b"jun", b"JUN"),
            (b"Jul", b"jul", b"JUL"),
            (b"Aug", b"aug", b"AUG"),
            (b"Sep", b"sep", b"SEP"),
            (b"Oct", b"oct", b"OCT"),
            (b"Nov", b"nov", b"NOV"),
            (b"Dec", b"dec", b"DEC"),
        ),
        start=1,
    )
    for name in names
}
_WEEKDAYS = frozenset((b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"))


def local_utc_offset_s(epoch_s: int) -> int:
    """Return the local time zone's distance from UTC at `epoch_s`, in seconds."""
    return time.localtime(epoch_s).tm_gmtoff


def days_from_civil(year: int, month: int, day: int) -> int:
    """Return days since 1970-01-01 in the proleptic Gregorian calendar (Hinnant's algorithm)."""
    if month <= 2:
        year -= 1
        month += 12
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month - 3) + 2) // 5 + day - 1
    return (
        era * 146097
        + year_of_era * 365
        + year_of_era // 4
        - year_of_era // 100
        + day_of_year
        - 719468
    )


def _two(data: bytes, at: int) -> int:
    """Two digits as a number, or -1000."""
    tens = data[at] - 48
    ones = data[at + 1] - 48
    if tens < 0 or tens > 9 or ones < 0 or ones > 9:
        return -1000
    return tens * 10 + ones


class TimeParser:
    """Finds the time that begins at a place of a line.

    `utc_offset_s` tells the local zone's distance from UTC; it is asked once for each hour of arrival.
    """

    def __init__(self, utc_offset_s: Callable[[int], int] = local_utc_offset_s) -> None:
        self._utc_offset_s = utc_offset_s
        self._hour = -1
        self._local_s = 0
        # The last date and time to the second, as it stood there: lines of the same second say it alike.
        self._said = b"\0" * 19
        self._said_s = 0
        self.end = 0

    def parse(self, data: bytes, at: int, arrival_ns: int) -> int:
        """Return the time at `at` in nanoseconds since the epoch, and its end in `self.end`; 0 when there is none."""
        size = len(data)
        if size - at < 15:
            return 0
        first = data[at]
        if 48 <= first <= 57:
            fifth = data[at + 4]
            if fifth == 45 or fifth == 47:  # 2026-11-22, 2026/11/22
                return self._year_first(data, at, size, arrival_ns)
            return self._day_first(data, at, size, arrival_ns)
        if 65 <= first <= 90:
            return self._month_first(data, at, size, arrival_ns)
        return 0

    def parse_klog(self, data: bytes, at: int, arrival_ns: int) -> int:
        """Return the time of a klog header, `MMDD hh:mm:ss.uuuuuu`, like `parse`."""
        if len(data) - at < 13 or data[at + 4] != 32:
            return 0
        return self._without_year(
            data, at + 5, len(data), _two(data, at), _two(data, at + 2), arrival_ns
        )

    def _year_first(self, data: bytes, at: int, size: int, arrival_ns: int) -> int:
        if size - at < 19:
            return 0
        if not raw.same(data, at, self._said):
            separator = data[at + 10]
            if data[at + 7] != data[at + 4] or (
                separator != 32 and separator != 84 and separator != 116
            ):
                return 0
            year = _two(data, at) * 100 + _two(data, at + 2)
            seconds = self._seconds(
                data, at + 11, size, year, _two(data, at + 5), _two(data, at + 8)
            )
            if seconds < 0:
                return 0
            self._said = data[at : at + 19]
            self._said_s = seconds
        return self._rest(data, at + 19, size, self._said_s, arrival_ns)

    def _day_first(self, data: bytes, at: int, size: int, arrival_ns: int) -> int:
        # 22/Nov/2026:15:15:26 +0000, 22-Nov-2026 15:15:26, 22 Nov 2026 15:15:26.123
        if size - at < 20:
            return 0
        separator = data[at + 2]
        if separator != data[at + 6] or (separator != 47 and separator != 45 and separator != 32):
            return 0
        month: int = _MONTHS.get(data[at + 3 : at + 6], -1000)
        year = _two(data, at + 7) * 100 + _two(data, at + 9)
        return self._clock(data, at + 12, size, year, month, _two(data, at), arrival_ns)

    def _month_first(self, data: bytes, at: int, size: int, arrival_ns: int) -> int:
        if data[at + 3] != 32:
            return 0
        name = data[at : at + 3]
        if name in _WEEKDAYS:  # Sun Nov 22 15:15:26.123456 2026
            at += 4
            if size - at < 20 or data[at + 3] != 32:
                return 0
            name = data[at : at + 3]
        month: int = _MONTHS.get(name, 0)
        if month == 0 or data[at + 6] != 32:
            return 0
        tens = data[at + 4]
        day = _two(data, at + 4) if tens != 32 else data[at + 5] - 48
        return self._without_year(data, at + 7, size, month, day, arrival_ns)

    def _without_year(
        self, data: bytes, at: int, size: int, month: int, day: int, arrival_ns: int
    ) -> int:
        year = time.gmtime(arrival_ns // _NS).tm_year
        found = self._clock(data, at, size, year, month, day, arrival_ns)
        if found == 0 and month == 12:  # printed in December, arrived in January
            found = self._clock(data, at, size, year - 1, month, day, arrival_ns)
        elif found == 0 and month == 1:  # a zone ahead of UTC
            found = self._clock(data, at, size, year + 1, month, day, arrival_ns)
        end = self.end
        if found and size - end >= 5 and data[end] == 32 and _two(data, end + 1) == year // 100:
            self.end = end + 5  # ctime has the year last
        return found

    def _clock(
        self, data: bytes, at: int, size: int, year: int, month: int, day: int, arrival_ns: int
    ) -> int:
        """The rest of a time, `hh:mm:ss[.,]fraction zone`, on the given day."""
        seconds = self._seconds(data, at, size, year, month, day)
        return 0 if seconds < 0 else self._rest(data, at + 8, size, seconds, arrival_ns)

    def _seconds(self, data: bytes, at: int, size: int, year: int, month: int, day: int) -> int:
        """Seconds since the epoch at `hh:mm:ss` of the given day, the zone aside; -1 when that is none."""
        if size - at < 8 or data[at + 2] != 58 or data[at + 5] != 58:
            return -1
        hour = _two(data, at)
        minute = _two(data, at + 3)
        second = _two(data, at + 6)
        if hour < 0 or minute < 0 or second < 0 or hour > 23 or minute > 59 or second > 60:
            return -1
        if year < 1970 or month < 1 or month > 12 or day < 1 or day > 31:
            return -1
        return days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second

    def _rest(self, data: bytes, at: int, size: int, seconds: int, arrival_ns: int) -> int:
        """What may follow on the seconds, `[.,]fraction zone`."""
        fraction = 0
        if at + 1 < size and (data[at] == 46 or data[at] == 44) and 48 <= data[at + 1] <= 57:
            at += 1
            digits = 0
            while at < size and 48 <= data[at] <= 57:
                if digits < 9:
                    fraction = fraction * 10 + data[at] - 48
                    digits += 1
                at += 1
            while digits < 9:
                fraction *= 10
                digits += 1
        zone = self._zone(data, at, size)
        if zone != _NO_ZONE:
            return self._plausible((seconds - zone) * _NS + fraction, arrival_ns)
        self.end = at
        utc = seconds * _NS + fraction
        local = utc - self._local_offset(arrival_ns) * _NS
        return self._plausible(
            utc if abs(utc - arrival_ns) <= abs(local - arrival_ns) else local, arrival_ns
        )

    def _zone(self, data: bytes, at: int, size: int) -> int:
        """Seconds ahead of UTC, with `self.end` behind the zone; `_NO_ZONE` when none is written."""
        if at < size and (data[at] == 90 or data[at] == 122):  # Z
            self.end = at + 1
            return 0
        if at < size and data[at] == 32:
            at += 1
            if size - at >= 3:
                name = data[at : at + 3]
                if name == b"UTC" or name == b"GMT":
                    self.end = at + 3
                    return 0
        if size - at < 5 or (data[at] != 43 and data[at] != 45):
            return _NO_ZONE
        hours = _two(data, at + 1)
        minutes_at = at + 4 if data[at + 3] == 58 else at + 3
        if size - minutes_at < 2:
            return _NO_ZONE
        minutes = _two(data, minutes_at)
        if hours < 0 or minutes < 0 or hours > 14:
            return _NO_ZONE
        self.end = minutes_at + 2
        zone = hours * 3600 + minutes * 60
        return zone if data[at] == 43 else -zone

    def _local_offset(self, arrival_ns: int) -> int:
        hour = arrival_ns // (3600 * _NS)
        if hour != self._hour:
            self._hour = hour
            self._local_s = self._utc_offset_s(arrival_ns // _NS)
        return self._local_s

    def _plausible(self, time_ns: int, arrival_ns: int) -> int:
        return time_ns if arrival_ns - _PAST_NS < time_ns < arrival_ns + _AHEAD_NS else 0


def from_number(value: float, arrival_ns: int) -> int:
    """Return a number as a time: seconds, milli-, micro- or nanoseconds by its magnitude; 0 when not plausible."""
    if not 1e8 < value < 9.2e18:
        return 0
    # Nanoseconds are 64 bits wide, which end in 2262: what is beyond is no time of ours.
    if 9.2e9 < value < 1e11 or 9.2e12 < value < 1e14 or 9.2e15 < value < 1e17:
        return 0
    if value < 1e11:
        # Whole and fraction apart: a double holds no nanoseconds of today.
        whole = int(value)
        time_ns = whole * _NS + int((value - whole) * 1e6 + 0.5) * 1000
    elif value < 1e14:
        time_ns = int(value * 1000 + 0.5) * 1000
    elif value < 1e17:
        time_ns = int(value) * 1000
    else:
        time_ns = int(value)
    return time_ns if arrival_ns - _PAST_NS < time_ns < arrival_ns + _AHEAD_NS else 0
