"""The record of a request: what is in it, what is hidden, what is left out, and that it is one line whatever comes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ambassador_facts import SPAN_ID, TRACE_ID, some_facts, taken
from pillion.ambassador.outlet import LINE_BYTES
from pillion.ambassador.record_text import MARK
from pillion.ambassador.request_log import PATH_BYTES, RequestLog, millis
from pillion.http.codec.events import Headers
from pillion.settings.ambassador import RequestLog as Settings
from virtual_loop import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pillion.ambassador.facts import Facts


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.close()


def record(
    loop: VirtualLoop, facts: Facts, of_request: Headers | None = None, **settings: Any
) -> dict[str, Any]:
    line = RequestLog(Settings(**settings), taken([]), loop).encode(facts, of_request)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert len(line) <= LINE_BYTES
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_record_has_everything_under_its_name(loop: VirtualLoop) -> None:
    assert record(loop, some_facts()) == {
        "time": "2026-11-22T15:15:26.123456Z",
        "direction": "outbound",
        "listener": "orders",
        "route": "#1",
        "upstream": "orders",
        "endpoint": "127.0.0.1:3001",
        "method": "GET",
        "host": "orders.internal",
        "path": "/orders/1",
        "query": "page=2",
        "version": "1.1",
        "status": 200,
        "attempts": 1,
        "connect_ms": 0.12,
        "first_ms": 1.5,
        "total_ms": 2.25,
        "bytes_in": 0,
        "bytes_out": 512,
        "peer": "127.0.0.1:40000",
        "trace_id": TRACE_ID,
        "span_id": SPAN_ID,
    }


def test_what_is_not_there_is_left_out(loop: VirtualLoop) -> None:
    facts = some_facts(
        query="", route="", upstream="", endpoint="", connect_s=-1.0, first_s=-1.0, trace_id=""
    )
    found = record(loop, facts)
    gone = ("query", "route", "upstream", "endpoint", "connect_ms", "first_ms", "trace_id")
    assert not set(gone) & set(found)
    assert "span_id" not in found
    assert "reason" not in found


def test_a_failure_says_why(loop: VirtualLoop) -> None:
    facts = some_facts(status=502, reason="upstream-reset", note="unknown-outcome", attempts=3)
    found = record(loop, facts)
    assert (found["status"], found["reason"], found["note"], found["attempts"]) == (
        502,
        "upstream-reset",
        "unknown-outcome",
        3,
    )


@pytest.mark.parametrize(
    "hostile",
    [
        'a"b',
        "back\\slash",
        "line\nbreak\r\n",
        "\x00\x1b[31m",
        "\u2028\u2029\x85",
        "ümlaut 🦀",
        "\udcff half",
        '"}\n{"status":200',
        "\U000e0001",
    ],
)
def test_hostile_text_is_escaped_in_every_field(loop: VirtualLoop, hostile: str) -> None:
    facts = some_facts(
        method=hostile,
        host=hostile,
        path=hostile,
        query=hostile,
        peer=hostile,
        note=hostile,
        reason=hostile,
        route=hostile,
        upstream=hostile,
        endpoint=hostile,
        listener=hostile,
    )
    line = RequestLog(Settings(), taken([]), loop).encode(facts, None)
    assert len(line.decode().splitlines()) == 1
    assert line.decode()[:-1].isprintable()
    found = json.loads(line)
    shown = hostile.replace("\udcff", "\\udcff")
    for name in ("method", "host", "path", "query", "peer", "note", "reason", "route", "upstream"):
        assert found[name] == shown


def test_a_path_of_100_kilobytes_is_cut_with_a_mark(loop: VirtualLoop) -> None:
    found = record(loop, some_facts(path="/" + "a" * 100_000, query="b" * 100_000))
    assert found["path"] == "/" + "a" * (PATH_BYTES - 1) + MARK
    assert found["query"].endswith(MARK)


@pytest.mark.parametrize("char", ["a", '"', "\x00", "é", "\udc80", "\U000e0001"])
def test_a_record_is_bounded_whatever_it_is_made_of(loop: VirtualLoop, char: str) -> None:
    long = char * 20_000
    names = tuple(f"x-header-{number}" for number in range(40))
    headers = Headers([(name.encode(), b"\xff\x00" * 4000) for name in names])
    facts = some_facts(
        method=long,
        host=long,
        path=long,
        query=long,
        peer=long,
        note=long,
        reason=long,
        route=long,
        upstream=long,
        endpoint=long,
        listener=long,
        bytes_in=2**62,
        bytes_out=2**62,
        total_s=1e9,
    )
    found = record(loop, facts, headers, headers=names)
    assert 0 < len(found["headers"]) < len(names)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("token=abc", "token=***"),
        ("a=1&Access_Token=abc&b=2", "a=1&Access_Token=***&b=2"),
        ("%74oken=abc", "%74oken=***"),
        ("a=1;password=abc;b=2", "a=1;password=***;b=2"),
        ("token", "token"),
        ("token=", "token=***"),
        ("card=4111&x=1", "card=***&x=1"),
        ("X-Amz-Signature=f00", "X-Amz-Signature=***"),
        ("card%=1", "card%=1"),
        ("a=b=c&=d", "a=b=c&=d"),
        ("tokenised", "tokenised"),
    ],
)
def test_query_parameters_that_hold_secrets_keep_their_names_only(
    loop: VirtualLoop, query: str, shown: str
) -> None:
    assert record(loop, some_facts(query=query), redact=("card",))["query"] == shown


def test_headers_are_written_when_asked_for_but_never_credentials(loop: VirtualLoop) -> None:
    headers = Headers(
        [
            (b"user-agent", b'curl "7"'),
            (b"authorization", b"Bearer abc"),
            (b"x-auth-token", b"abc"),
            (b"x-bad", b"\xff\xfe"),
            (b"x-user", b"ada"),
        ]
    )
    names = ("User-Agent", "authorization", "x-auth-token", "x-bad", "x-user", "x-absent")
    found = record(loop, some_facts(), headers, headers=names, redact=("x-us*",))
    assert found["headers"] == {
        "user-agent": 'curl "7"',
        "authorization": "***",
        "x-auth-token": "***",
        "x-bad": "\\xff\\xfe",
        "x-user": "***",
    }


def written(loop: VirtualLoop, settings: Settings, facts: Facts) -> bool:
    log = RequestLog(settings, taken([]), loop)
    log.write(facts, None)
    log.close()
    assert log.written + log.skipped == (1 if settings.enabled else 0)
    return log.outlet.lines == 1


def test_sampling_follows_the_trace(loop: VirtualLoop) -> None:
    low, high = "0" * 31 + "1", "f" * 32
    settings = Settings(sample=0.5)
    assert written(loop, settings, some_facts(trace_id=low))
    assert not written(loop, settings, some_facts(trace_id=high))
    assert not written(loop, Settings(sample=0.0), some_facts(trace_id=low))
    assert written(loop, Settings(sample=1.0), some_facts(trace_id=high))


def test_without_a_trace_about_the_share_is_written(loop: VirtualLoop) -> None:
    log = RequestLog(Settings(sample=0.25), taken([]), loop)
    for _ in range(2000):
        log.write(some_facts(trace_id=""), None)
    log.close()
    assert 350 < log.written < 650
    assert log.skipped == 2000 - log.written


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        ({"status": 500}, True),
        ({"status": 502, "reason": "connect-failed"}, True),
        ({"status": 429, "reason": "rate-limited"}, True),
        ({"note": "client-left"}, True),
        ({"status": 0, "reason": "connect-timeout"}, True),
        ({"status": 404}, False),
        ({"status": 301, "reason": "redirect"}, False),
        ({"status": 200, "reason": "direct-answer"}, False),
    ],
)
def test_failures_are_written_whatever_is_sampled(
    loop: VirtualLoop, changed: dict[str, Any], kept: bool
) -> None:
    facts = some_facts(**changed)
    assert written(loop, Settings(sample=0.0), facts) == kept
    assert not written(loop, Settings(sample=0.0, errors=False), facts)


def test_switched_off_nothing_is_written(loop: VirtualLoop) -> None:
    assert not written(loop, Settings(enabled=False), some_facts(status=500))


def test_other_settings_hold_from_the_next_record_on(loop: VirtualLoop) -> None:
    messages: list[bytes] = []
    log = RequestLog(Settings(), taken(messages), loop)
    log.write(some_facts(query="card=1"), None)
    log.configure(Settings(redact=("card",)))
    log.write(some_facts(query="card=1"), None)
    log.close()
    shown = [json.loads(line)["query"] for line in b"".join(messages).splitlines()]
    assert shown == ["card=1", "card=***"]


def test_places_without_end_stay_right(loop: VirtualLoop) -> None:
    log = RequestLog(Settings(), taken([]), loop)
    for number in range(5000):
        found = json.loads(log.encode(some_facts(endpoint=f"10.0.0.1:{number}"), None))
        assert found["endpoint"] == f"10.0.0.1:{number}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.000"),
        (0.0000004, "0.000"),
        (0.0012345, "1.235"),
        (61.5, "61500.000"),
        (-5, "0.000"),
    ],
)
def test_milliseconds_have_three_decimals(seconds: float, text: str) -> None:
    assert millis(seconds) == text
