"""Level names and numbers of the field as OTLP severity numbers, so that `--level warn` means one thing for every app.

OpenTelemetry, Logs Data Model, "Severity Fields" and appendix B ("SeverityNumber example mappings").
"""

from __future__ import annotations

TRACE = 1
DEBUG = 5
INFO = 9
NOTICE = 10
WARN = 13
ERROR = 17
FATAL = 21

# Lower case; each is known in lower, upper and capitalised form.
_NAMES = {
    "trace": TRACE,
    "trc": TRACE,
    "verbose": TRACE,
    "finest": TRACE,
    "finer": TRACE + 1,
    "silly": TRACE,
    "debug": DEBUG,
    "dbug": DEBUG,
    "dbg": DEBUG,
    "fine": DEBUG,
    "config": DEBUG + 1,
    "info": INFO,
    "inf": INFO,
    "information": INFO,
    "informational": INFO,
    "log": INFO,
    "notice": NOTICE,
    "note": NOTICE,
    "success": NOTICE,
    "warn": WARN,
    "wrn": WARN,
    "warning": WARN,
    "error": ERROR,
    "err": ERROR,
    "eror": ERROR,
    "severe": ERROR,
    "fail": ERROR,
    "crit": ERROR + 1,
    "alert": ERROR + 2,
    "critical": FATAL,
    "crt": FATAL,
    "fatal": FATAL,
    "ftl": FATAL,
    "dpanic": FATAL,
    "panic": FATAL,
    "emerg": FATAL,
    "emergency": FATAL,
}

# Text in any of the usual cases -> severity number. Bytes, because lines are bytes.
BY_NAME: dict[bytes, int] = {
    form.encode(): number
    for name, number in _NAMES.items()
    for form in (name, name.upper(), name.capitalize())
}
LONGEST_NAME = 13

# RFC 5424, table 2, in the order of its numerical codes 0 to 7.
SYSLOG = (FATAL, ERROR + 2, ERROR + 1, ERROR, WARN, NOTICE, INFO, DEBUG)
SYSLOG_TEXT = (b"emerg", b"alert", b"crit", b"err", b"warning", b"notice", b"info", b"debug")

_SHORT = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")


# Numeric levels: syslog's 0 to 7 (GELF), and the tens of pino, bunyan and Python's levelno; with the number as text.
# pino and bunyan count trace 10, debug 20, info 30, warn 40, error 50, fatal 60.
BY_NUMBER: dict[int, tuple[int, bytes]] = {
    **{code: (number, str(code).encode()) for code, number in enumerate(SYSLOG)},
    **{
        level: ((TRACE, DEBUG, INFO, WARN, ERROR, FATAL)[level // 10 - 1], str(level).encode())
        for level in range(10, 70)
    },
}
# Python's levelno: debug 10, info 20, warning 30, error 40, critical 50.
BY_LEVELNO: dict[int, int] = {10: DEBUG, 20: INFO, 30: WARN, 40: ERROR, 50: FATAL}


def from_text(text: str) -> int:
    """Return the severity number of a level's name in any case, or of an OTLP name such as `WARN2`; 0 when unknown."""
    name = text.strip().lower()
    known = _NAMES.get(name)
    if known is not None:
        return known
    if name[:-1] in _NAMES and name[-1:] in "234":
        base = _NAMES[name[:-1]]
        return base + int(name[-1]) - 1 if base % 4 == 1 else 0
    return 0


def short_name(number: int) -> str:
    """Return OTLP's short name of a severity number (1 to 24), such as `INFO` or `WARN2`; empty for 0."""
    if not 1 <= number <= 24:
        return ""
    rank = (number - 1) % 4
    return _SHORT[(number - 1) // 4] + (str(rank + 1) if rank else "")
