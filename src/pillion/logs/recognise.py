# ruff: noqa: ERA001 # the next line is for Cython
# cython: annotation_typing=False
"""What a line tells about itself: level, time, trace and message, in the formats that programs really use.

A wrong guess is worse than none: without a time in front, only the first word of a line can be its level, and a time
that is not plausible is text. The first byte decides which formats are tried at all, since this runs for every line.
"""

from __future__ import annotations

import re

from pillion.logs import raw
from pillion.logs.facts import Facts, set_trace
from pillion.logs.jsonline import read_json
from pillion.logs.severity import BY_NAME, SYSLOG, SYSLOG_TEXT
from pillion.logs.times import TimeParser

# How far behind a time a level is looked for: logger and thread names stand between in some formats.
_WINDOW = 80
_LEVELS: dict[bytes, int] = BY_NAME

# The c of "trace".
_RAREST = 3

_ANSI = re.compile(rb"\x1b\[[0-9;:?]*[A-Za-z]")
_TRACE = re.compile(
    rb"""traceparent["']?[=:]\s*["']?00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})"""
    rb"""|trace[_.]?[iI][dD]["']?[=:]\s*["']?([0-9a-fA-F]{32})(?![0-9a-fA-F])"""
)
_SPAN = re.compile(rb"""span[_.]?[iI][dD]["']?[=:]\s*["']?([0-9a-fA-F]{16})(?![0-9a-fA-F])""")
_LOGFMT_LEVEL = re.compile(rb"""(?:^|\s)(?:level|lvl|severity)=["']?([A-Za-z]{3,13})\b""")
_COMMON_LOG = re.compile(rb"""\S+ \S+ \S+ \[([^\]]{20,32})\] "(?:[^"\\]|\\.)*" (\d{3}) """)


class Recogniser:
    """Recognises lines, one after the other; keeps nothing between them but the local zone's offset.

    `json`, `level` and `time` say what is to be recognised at all.
    """

    def __init__(
        self,
        times: TimeParser | None = None,
        *,
        json: bool = True,
        level: bool = True,
        time: bool = True,
    ) -> None:
        self._times = times or TimeParser()
        self._json = json
        self._all = level and time
        self._level = level
        self._time = time
        # The last level that was found, as most lines have the one before.
        self._word = b""
        self._number = 0

    def recognise(self, data: bytes, arrival_ns: int) -> Facts:
        """Return what the line `data`, which arrived at `arrival_ns`, tells about itself."""
        facts = Facts(data)
        self.read(facts, data, arrival_ns)
        return facts

    def read(self, facts: Facts, data: bytes, arrival_ns: int) -> None:
        """Put into `facts`, whatever they were before, what `recognise` returns."""
        facts.begin(data)
        self._recognise(facts, data, arrival_ns)
        if not self._all:
            if not self._level:
                facts.severity = 0
                facts.level = b""
            if not self._time:
                facts.time_ns = 0

    def _recognise(self, facts: Facts, data: bytes, arrival_ns: int) -> None:
        size = len(data)
        if size == 0:
            return
        first = data[0]
        if self._json and first == 123 and data[size - 1] == 125:  # {…}
            if read_json(facts, data, self._times, arrival_ns):
                return
        elif raw.has(data, 27, size):
            data = _ANSI.sub(b"", data)
            size = len(data)
            if size == 0:
                return
            first = data[0]
        self._plain(facts, data, size, first, arrival_ns)
        if raw.holds(data, b"trace", _RAREST):
            _find_trace(facts, data)

    def _plain(self, facts: Facts, data: bytes, size: int, first: int, arrival_ns: int) -> None:
        times = self._times
        at = 0
        if 48 <= first <= 57 or first == 58:  # a digit: a date, or an address of a common log line
            facts.time_ns = times.parse(data, 0, arrival_ns)
            if facts.time_ns == 0:
                if self._common_log(facts, data, arrival_ns):
                    return
                if size > 12 and data[2] == 58 and data[5] == 58:
                    # 15:15:26.123 [main] INFO …: no date, so no time, but a level behind it.
                    self._level_after(facts, data, 8, size)
                    return
        elif first == 91:  # [2026-11-22 15:15:26] [INFO] …
            facts.time_ns = times.parse(data, 1, arrival_ns)
        elif first == 60:  # <34>Nov 22 15:15:26 …
            at = self._syslog(facts, data, arrival_ns)
        elif 65 <= first <= 90:
            if size > 14:
                second = data[1]
                if 48 <= second <= 57:  # I1122 15:15:26.123456 1234 main.go:12] …
                    if self._klog(facts, data, first, arrival_ns):
                        return
                elif second == 44 and data[2] == 32 and data[3] == 91:  # I, [2026-11-22T…
                    facts.time_ns = times.parse(data, 4, arrival_ns)
                else:
                    facts.time_ns = times.parse(data, 0, arrival_ns)
        elif 97 <= first <= 122 and raw.has(data, 61, 16):
            self._logfmt(facts, data, arrival_ns)
        if facts.severity == 0:
            if facts.time_ns:
                self._level_after(facts, data, times.end, size)
            else:
                self._level_first(facts, data, at, size)

    def _level_after(self, facts: Facts, data: bytes, at: int, size: int) -> None:
        """The level behind a time: the first upper-case word, or the first in brackets or before a colon."""
        end = at + _WINDOW
        if end > size:
            end = size
        while at < end:
            letter = data[at]
            if 65 <= letter <= 90 or 97 <= letter <= 122:
                start = at
                upper = letter <= 90
                lower = 0
                at += 1
                while at < size:
                    letter = data[at]
                    if 97 <= letter <= 122:
                        lower += 1
                    elif letter < 65 or letter > 90:
                        break
                    at += 1
                length = at - start
                if 2 < length < 14:
                    # "INFO", "[error]", "core:error]", "| Info |", "error:", not any word of a sentence.
                    before = data[start - 1] if start else 32
                    after = data[at] if at < size else 32
                    whole = upper and lower == 0
                    if (
                        (whole and before != 46 and before != 95 and after != 46 and after != 95)
                        or after == 93
                        or (after == 58 and before == 32)
                    ) and self._is_level(facts, data, start, at):
                        return
            else:
                at += 1

    def _level_first(self, facts: Facts, data: bytes, at: int, size: int) -> None:
        """The level of a line without a time: its first word, upper-case, in brackets or before a colon."""
        opened = False
        while at < size and at < 8:
            letter = data[at]
            if letter == 91 or letter == 60 or letter == 40:  # [ < (
                opened = True
            elif letter != 32 and letter != 9:
                break
            at += 1
        start = at
        upper = True
        while at < size and at - start < 14:
            letter = data[at]
            if 97 <= letter <= 122:
                upper = False
            elif letter < 65 or letter > 90:
                break
            at += 1
        length = at - start
        if length < 3 or length > 13:
            return
        after = data[at] if at < size else 32
        if (
            after == 58
            or after == 33
            or (opened and (after == 93 or after == 62 or after == 41))
            or (upper and (after == 32 or after == 9 or after == 124 or after == 93))
        ):
            self._is_level(facts, data, start, at)

    def _is_level(self, facts: Facts, data: bytes, start: int, end: int) -> bool:
        """Whether the word from `start` to `end` is a level; then it is the line's."""
        if end - start != len(self._word) or not raw.same(data, start, self._word):
            word = data[start:end]
            number = _LEVELS.get(word)
            if number is None:
                return False
            self._word = word
            self._number = number
        facts.severity = self._number
        facts.level = self._word
        return True

    def _klog(self, facts: Facts, data: bytes, first: int, arrival_ns: int) -> bool:
        number = _KLOG.get(first)
        if number is None:
            return False
        found = self._times.parse_klog(data, 1, arrival_ns)
        if found == 0:
            return False
        facts.time_ns = found
        facts.severity = number
        facts.level = data[:1]
        return True

    def _syslog(self, facts: Facts, data: bytes, arrival_ns: int) -> int:
        """RFC 3164 and RFC 5424: `<PRI>`, for the latter a version, then the time; returns where the text begins."""
        close = data.find(b">", 1, 5)
        if close < 2 or not data[1:close].isdigit():
            return 0
        priority = int(data[1:close])
        if priority > 191:
            return 0
        facts.severity = SYSLOG[priority & 7]
        facts.level = SYSLOG_TEXT[priority & 7]
        at = close + 1
        if data[at : at + 2] == b"1 ":
            at += 2
        facts.time_ns = self._times.parse(data, at, arrival_ns)
        return at

    def _common_log(self, facts: Facts, data: bytes, arrival_ns: int) -> bool:
        """Common and combined log format: a server error is an error, a client's error a warning."""
        if b" [" not in data[:128]:
            return False
        found = _COMMON_LOG.match(data)
        if found is None:
            return False
        facts.time_ns = self._times.parse(data, found.start(1), arrival_ns)
        status = found.group(2)
        facts.severity = 17 if status >= b"500" else 13 if status >= b"400" else 9
        return True

    def _logfmt(self, facts: Facts, data: bytes, arrival_ns: int) -> None:
        found = _LOGFMT_LEVEL.search(data, 0, 256)
        if found is not None:
            number = _LEVELS.get(found.group(1))
            if number is not None:
                facts.severity = number
                facts.level = found.group(1)
        for key in (b"time=", b"ts=", b"t=", b"timestamp="):
            if data.startswith(key):
                at = len(key)
                if data[at : at + 1] == b'"':
                    at += 1
                facts.time_ns = self._times.parse(data, at, arrival_ns)
                return


_KLOG = {73: 9, 87: 13, 69: 17, 70: 21}  # I W E F


def _find_trace(facts: Facts, data: bytes) -> None:
    found = _TRACE.search(data)
    if found is None:
        return
    if found.group(1) is not None:
        set_trace(facts, found.group(1).decode(), found.group(2).decode())
        facts.flags = int(found.group(3), 16)
        return
    span = _SPAN.search(data)
    set_trace(facts, found.group(4).decode(), "" if span is None else span.group(1).decode())
