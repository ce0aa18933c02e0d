# ruff: noqa: ERA001 # the next line is for Cython
# cython: annotation_typing=False
"""JSON lines by the keys that loggers use, so that pino, zap, structlog and a GCP agent's format read alike.

Known: pino, bunyan, zap, zerolog, logrus, slog, structlog, python-json-logger, log4j and logback (JsonLayout, ECS),
Serilog compact, GELF, Google Cloud structured logging. What is not known stays as an attribute.
"""

from __future__ import annotations

import msgspec

from pillion.logs.facts import Facts, set_trace
from pillion.logs.severity import BY_LEVELNO, BY_NAME, BY_NUMBER
from pillion.logs.times import TimeParser
from pillion.logs.times import from_number as time_from_number

_MESSAGE, _EVENT, _LEVEL, _TIME, _TRACE, _SPAN, _FLAGS, _TRACE_GCP, _LEVEL_NUMBER, _NESTED = range(
    1, 11
)

_ROLES: dict[str, int] = {
    **dict.fromkeys(("msg", "message", "short_message", "@m", "textPayload"), _MESSAGE),
    **dict.fromkeys(("event", "@mt"), _EVENT),
    **dict.fromkeys(
        (
            "level",
            "severity",
            "levelname",
            "level_name",
            "lvl",
            "loglevel",
            "log_level",
            "logLevel",
            "log.level",
            "@l",
            "severity_text",
            "severityText",
        ),
        _LEVEL,
    ),
    **dict.fromkeys(("levelno", "level_value"), _LEVEL_NUMBER),
    **dict.fromkeys(
        (
            "time",
            "ts",
            "timestamp",
            "@timestamp",
            "asctime",
            "datetime",
            "timeMillis",
            "instant",
            "@t",
        ),
        _TIME,
    ),
    **dict.fromkeys(
        ("trace_id", "traceId", "traceid", "trace.id", "traceID", "TraceId", "@tr"), _TRACE
    ),
    **dict.fromkeys(("span_id", "spanId", "spanid", "span.id", "spanID", "SpanId", "@sp"), _SPAN),
    "logging.googleapis.com/spanId": _SPAN,
    "logging.googleapis.com/trace": _TRACE_GCP,
    **dict.fromkeys(("trace_flags", "traceFlags", "TraceFlags"), _FLAGS),
    **dict.fromkeys(("trace", "span", "log"), _NESTED),
}

_decode = msgspec.json.Decoder().decode


def read_json(facts: Facts, data: bytes, times: TimeParser, arrival_ns: int) -> bool:
    """Fill `facts` from the JSON object `data`; False when it is none, with `facts` as it was.

    With a message the rest become attributes; without one the body stays the whole line.
    """
    try:
        fields = _decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    if not isinstance(fields, dict):
        return False
    rest: dict[str, object] = {}
    message: str | None = None
    event: str | None = None
    event_key = ""
    trace = ""
    span = ""
    for key, value in fields.items():
        role = _ROLES.get(key, 0)
        if role == 0:
            rest[key] = value
        elif role == _MESSAGE and message is None and isinstance(value, str):
            message = value
        elif (role == _LEVEL and facts.severity == 0 and _level(facts, value)) or (
            role == _TIME and facts.time_ns == 0 and _time(facts, value, times, arrival_ns)
        ):
            pass
        elif role == _EVENT and event is None and isinstance(value, str):
            event = value
            event_key = key
        elif role == _TRACE and isinstance(value, str) and len(value) == 32:
            trace = value
        elif role == _SPAN and isinstance(value, str) and len(value) == 16:
            span = value
        elif role == _TRACE_GCP and isinstance(value, str):
            trace = value.rpartition("/")[2]
        elif role == _NESTED and isinstance(value, dict):
            # Elastic Common Schema, nested: {"trace": {"id": …}, "log": {"level": …}}
            if key == "trace" and isinstance(value.get("id"), str):
                trace = value["id"]
            elif key == "span" and isinstance(value.get("id"), str):
                span = value["id"]
            elif key != "log" or facts.severity or not _level(facts, value.get("level")):
                rest[key] = value
        elif role == _LEVEL_NUMBER and isinstance(value, int):
            # Beside a level's name in most formats; it decides only where the name is missing.
            rest[key] = value
        elif role == _FLAGS and isinstance(value, (str, int)):
            facts.flags = _flags(value)
        else:
            rest[key] = value
    if message is None and event is not None:
        message = event
    elif event is not None:
        rest[event_key] = event
    if trace:
        _set_trace(facts, trace, span)
    if facts.severity == 0 and isinstance(levelno := rest.get("levelno"), int):
        facts.severity = BY_LEVELNO.get(levelno, 0)
    if message is not None:
        facts.body = message.encode()
    facts.attributes = rest
    return True


def _level(facts: Facts, value: object) -> bool:
    if isinstance(value, str):
        text = value.encode()
        number = BY_NAME.get(text)
        if number is None:
            number = BY_NAME.get(text.strip().lower(), 0)
        facts.level = text
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and value in BY_NUMBER:
        number, facts.level = BY_NUMBER[int(value)]
    else:
        return False
    facts.severity = number
    return number != 0


def _time(facts: Facts, value: object, times: TimeParser, arrival_ns: int) -> bool:
    found = 0
    if isinstance(value, str):
        if value.isascii():
            found = times.parse(value.encode(), 0, arrival_ns)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        found = time_from_number(value, arrival_ns)
    elif isinstance(value, dict):  # log4j's JsonLayout and protobuf's Timestamp
        seconds = value.get("epochSecond", value.get("seconds"))
        nanos = value.get("nanoOfSecond", value.get("nanos", 0))
        if isinstance(seconds, int) and isinstance(nanos, int) and 0 <= nanos < 1_000_000_000:
            found = time_from_number(seconds, arrival_ns)
            if found:
                found += nanos
    facts.time_ns = found
    return found != 0


def _flags(value: str | int) -> int:
    try:
        number = int(value, 16) if isinstance(value, str) else value
    except ValueError:
        return 0
    return number & 0xFF


def _set_trace(facts: Facts, trace: str, span: str) -> None:
    try:
        set_trace(facts, trace, span)
    except ValueError:  # not hexadecimal: some tracer of its own
        facts.trace = facts.span = b""
