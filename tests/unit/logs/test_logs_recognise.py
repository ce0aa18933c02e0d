"""What lines tell about themselves, format by format."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pillion.logs.severity import from_text, short_name

if TYPE_CHECKING:
    from types import SimpleNamespace

# 2026-11-22T15:15:26Z, and a line that arrives 100 ms after it was printed.
NOW = 1_795_360_526_000_000_000
ARRIVAL = NOW + 100_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"

PLAIN = [
    ("2026-11-22T15:15:26Z INFO hello", 0, 9),
    ("2026-11-22T15:15:26.250Z  WARN crate::module: rust tracing", 250, 13),
    ("[2026-11-22T15:15:26Z ERROR crate] env_logger", 0, 17),
    ("2026-11-22 15:15:26,250 - my.logger - WARNING - python logging", 250, 13),
    ("2026-11-22 15:15:26.250 | DEBUG    | __main__:<module>:1 - loguru", 250, 5),
    ("2026-11-22 15:15:26,250 [main] INFO  com.example.App - log4j", 250, 9),
    ("2026-11-22T16:15:26.250+01:00  INFO 1 --- [main] c.e.App : spring boot", 250, 9),
    ("2026-11-22 16:15:26.250 CET [12] ERROR:  postgres in its own zone", 250, 17),
    ("2026-11-22 15:15:26.250 UTC [12] LOG:  checkpoint starting", 250, 9),
    ("2026-11-22T15:15:26.250123Z 0 [Warning] [MY-010068] mysql", 250.123, 13),
    ("2026/11/22 15:15:26 [error] 12#12: *1 open() failed, nginx", 0, 17),
    ("2026/11/22 15:15:26 go's log has no level", 0, 0),
    ("2026/11/22 15:15:26.250000 main.go:12: go with microseconds", 250, 0),
    ("I1122 15:15:26.250000    1234 main.go:12] klog", 250, 9),
    ("E1122 15:15:26.250000    1234 main.go:12] klog", 250, 17),
    ("I, [2026-11-22T15:15:26.250000 #1234]  INFO -- : ruby", 250, 9),
    ("Nov 22 15:15:26 host app[12]: syslog, RFC 3164", 0, 0),
    ("<12>Nov 22 15:15:26 host app[12]: syslog with priority", 0, 13),
    ("<165>1 2026-11-22T15:15:26.250Z host app - ID47 - RFC 5424", 250, 10),
    ("[Sun Nov 22 15:15:26.250000 2026] [core:error] [pid 1] apache", 250, 17),
    ("[22-Nov-2026 15:15:26 UTC] PHP Warning:  php", 0, 13),
    ('1.2.3.4 - - [22/Nov/2026:15:15:26 +0000] "GET / HTTP/1.1" 200 12 "-" "curl"', 0, 9),
    ('1.2.3.4 - bob [22/Nov/2026:15:15:26 +0000] "GET /\\" HTTP/1.1" 404 12', 0, 13),
    ('::1 - - [22/Nov/2026:16:15:26 +0100] "POST /x HTTP/1.1" 503 12', 0, 17),
    ('time="2026-11-22T15:15:26Z" level=warning msg="logrus text"', 0, 13),
    ("ts=2026-11-22T15:15:26.25Z caller=main.go:1 level=error msg=go-kit", 250, 17),
    ("level=info msg=x", None, 9),
    ("INFO:root:python without a time", None, 9),
    ("[error] in brackets", None, 17),
    ("\x1b[32minfo\x1b[39m: winston in colour", None, 9),
    ("15:15:26.250 [main] ERROR c.e.App - logback has no date", None, 17),
    ("Error: node's uncaught", None, 17),
    ("npm WARN deprecated", None, 0),
    ("WARN  a word in capitals in front", None, 13),
    ("An ERROR in a sentence is no level", None, 0),
    ("Information wants to be free", None, 0),
    ("error handling is a topic", None, 0),
    ("1999-01-01 00:00:00 too old to be its time", None, 0),
    ("2026-11-22 25:61:00 no time at all", None, 0),
    ("", None, 0),
    ("{ not json }", None, 0),
    ("42", None, 0),
]


@pytest.mark.parametrize(("line", "millis", "severity"), PLAIN, ids=[row[0][:40] for row in PLAIN])
def test_plain_lines(hot: SimpleNamespace, line: str, millis: float | None, severity: int) -> None:
    times = hot.times.TimeParser(lambda _seconds: 3600)
    found = hot.recognise.Recogniser(times).recognise(line.encode(), ARRIVAL)
    assert found.time_ns == (0 if millis is None else NOW + round(millis * 1e6))
    assert found.severity == severity
    assert found.body == line.encode()


JSON = [
    (
        '{"level":30,"time":1795360526250,"pid":1,"hostname":"h","msg":"pino"}',
        250,
        9,
        {"pid": 1, "hostname": "h"},
    ),
    (
        '{"name":"a","level":50,"msg":"bunyan","time":"2026-11-22T15:15:26.250Z","v":0}',
        250,
        17,
        {"name": "a", "v": 0},
    ),
    (
        '{"level":"warn","ts":1795360526.25,"caller":"m.go:1","msg":"zap"}',
        250,
        13,
        {"caller": "m.go:1"},
    ),
    ('{"level":"info","msg":"logrus","time":"2026-11-22T16:15:26+01:00"}', 0, 9, {}),
    (
        '{"event":"structlog","level":"error","timestamp":"2026-11-22T15:15:26.250000Z"}',
        250,
        17,
        {},
    ),
    (
        '{"asctime":"2026-11-22 15:15:26,250","levelname":"CRITICAL","message":"python"}',
        250,
        21,
        {},
    ),
    ('{"levelno":40,"message":"by number"}', None, 17, {"levelno": 40}),
    (
        '{"instant":{"epochSecond":1795360526,"nanoOfSecond":250000000},"level":"INFO","message":"log4j"}',
        250,
        9,
        {},
    ),
    ('{"@timestamp":"2026-11-22T15:15:26.250Z","log.level":"DEBUG","message":"ecs"}', 250, 5, {}),
    ('{"log":{"level":"warn"},"message":"nested ecs"}', None, 13, {}),
    (
        '{"severity":"NOTICE","message":"gcp","timestamp":{"seconds":1795360526,"nanos":250000000}}',
        250,
        10,
        {},
    ),
    ('{"short_message":"gelf","level":3,"timestamp":1795360526.25}', 250, 17, {}),
    (
        '{"@t":"2026-11-22T15:15:26.25Z","@l":"Warning","@m":"serilog","x":[1,{"y":null}]}',
        250,
        13,
        {"x": [1, {"y": None}]},
    ),
    (
        '{"msg":"a time that is none","time":"soon","level":"loud"}',
        None,
        0,
        {"time": "soon", "level": "loud"},
    ),
    ('{"msg":"two","message":"messages"}', None, 0, {"message": "messages"}),
]


@pytest.mark.parametrize(
    ("line", "millis", "severity", "rest"), JSON, ids=[row[0][:50] for row in JSON]
)
def test_json_lines(
    hot: SimpleNamespace, line: str, millis: float | None, severity: int, rest: dict[str, object]
) -> None:
    times = hot.times.TimeParser(lambda _seconds: 3600)
    found = hot.recognise.Recogniser(times).recognise(line.encode(), ARRIVAL)
    # A double holds times of today to about 200 ns.
    wanted = 0 if millis is None else NOW + round(millis * 1e6)
    assert abs(found.time_ns - wanted) < 1000
    assert found.severity == severity
    assert found.attributes == rest
    assert found.body != line.encode()


def test_a_json_line_without_a_message_stays_whole(hot: SimpleNamespace) -> None:
    line = b'{"method":"GET","status":200}'
    found = hot.recognise.Recogniser().recognise(line, ARRIVAL)
    assert (found.body, found.attributes) == (line, {"method": "GET", "status": 200})


@pytest.mark.parametrize(
    "line",
    [
        f"GET /x trace_id={TRACE} span_id={SPAN}",
        f'GET /x traceId="{TRACE}" spanId="{SPAN}"',
        f"GET /x traceparent: 00-{TRACE}-{SPAN}-01",
        f'{{"msg":"x","trace_id":"{TRACE}","span_id":"{SPAN}"}}',
        f'{{"msg":"x","trace":{{"id":"{TRACE}"}},"span":{{"id":"{SPAN}"}}}}',
        (
            f'{{"message":"x","logging.googleapis.com/trace":"projects/p/traces/{TRACE}",'
            f'"logging.googleapis.com/spanId":"{SPAN}"}}'
        ),
    ],
)
def test_trace_context(hot: SimpleNamespace, line: str) -> None:
    found = hot.recognise.Recogniser().recognise(line.encode(), ARRIVAL)
    assert (found.trace.hex(), found.span.hex()) == (TRACE, SPAN)


@pytest.mark.parametrize("bad", ["0" * 32, "x" * 32, TRACE[:-1]])
def test_a_trace_id_that_is_none_is_text(hot: SimpleNamespace, bad: str) -> None:
    for line in (f"trace_id={bad}", f'{{"msg":"x","trace_id":"{bad}"}}'):
        assert hot.recognise.Recogniser().recognise(line.encode(), ARRIVAL).trace == b""


def test_what_is_switched_off_is_not_recognised(hot: SimpleNamespace) -> None:
    line = b"2026-11-22T15:15:26Z INFO x"
    found = hot.recognise.Recogniser(level=False).recognise(line, ARRIVAL)
    assert (found.severity, found.level, found.time_ns) == (0, b"", NOW)
    found = hot.recognise.Recogniser(time=False).recognise(line, ARRIVAL)
    assert (found.severity, found.time_ns) == (9, 0)
    found = hot.recognise.Recogniser(json=False).recognise(b'{"msg":"x"}', ARRIVAL)
    assert found.attributes is None


def test_a_time_without_year_or_zone_is_the_nearest(hot: SimpleNamespace) -> None:
    parser = hot.times.TimeParser(lambda _seconds: -8 * 3600)
    new_year = int(datetime(2027, 1, 1, 0, 0, 1, tzinfo=UTC).timestamp()) * 10**9
    assert parser.parse(b"Dec 31 23:59:59 host", 0, new_year) == new_year - 2 * 10**9
    assert parser.parse(b"2026-11-22 15:15:26", 0, ARRIVAL) == NOW
    assert parser.parse(b"2026-11-22 07:15:26", 0, ARRIVAL) == NOW


def test_days_agree_with_the_calendar(hot: SimpleNamespace) -> None:
    for text in ("2024-02-29 12:00:00", "2026-12-31 23:59:59", "2100-03-01 00:00:00"):
        moment = int(datetime.fromisoformat(text + "+00:00").timestamp()) * 10**9
        assert hot.times.TimeParser(lambda _s: 0).parse(text.encode(), 0, moment) == moment


def test_severity_names_and_numbers() -> None:
    assert [short_name(number) for number in (0, 1, 9, 10, 13, 17, 21, 24, 25)] == [
        *("", "TRACE", "INFO", "INFO2", "WARN", "ERROR", "FATAL", "FATAL4", ""),
    ]
    assert [from_text(text) for text in ("warn", "Warning", "WARN2", "loud", "")] == [
        13,
        13,
        14,
        0,
        0,
    ]
