"""When a batch is sent again, and what an answer means: arithmetic, no waiting."""

from __future__ import annotations

import pytest

from pillion.logs.otlp import Answer, read_answer
from pillion.logs.retry import Backoff, Stall, retry_after_s
from pillion.logs.sinks import Again, Refused, Sent

NOW_S = 1_795_360_526.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("999999999", 3600.0),
        ("Sun, 22 Nov 2026 15:16:26 GMT", 60.0),
        ("Sun, 22 Nov 2026 15:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after_s(value, NOW_S) == seconds


def test_the_backoff_doubles_to_its_bound_with_jitter() -> None:
    backoff = Backoff(initial_s=0.5, max_s=5.0)
    assert [backoff.delay_s(n, None, lambda: 1.0) for n in range(1, 7)] == [0.5, 1, 2, 4, 5, 5]
    assert backoff.delay_s(1, None, lambda: 0.0) == 0.25
    assert backoff.delay_s(10**6, None, lambda: 1.0) == 5.0


def test_what_the_receiver_asks_for_goes_first_and_is_never_undercut() -> None:
    assert Backoff().delay_s(1, 60.0, lambda: 0.0) == 60.0
    assert Backoff().delay_s(9, 60.0, lambda: 0.999) < 61.0


def test_a_stall_is_said_once_and_its_end_once() -> None:
    stall = Stall(after_s=3.0)
    assert [stall.failed(now) for now in (0.0, 2.9, 3.0, 4.0)] == [False, False, True, False]
    assert stall.succeeded(10.0) == 10.0
    assert stall.succeeded(11.0) is None
    assert [stall.failed(now) for now in (12.0, 14.0)] == [False, False]
    assert stall.succeeded(14.5) is None


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_be_sent_again(status: int) -> None:
    outcome = read_answer(Answer(status, b"busy", "7"), NOW_S)
    assert outcome == Again(f"the receiver answered {status}: busy", 7.0)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 408, 413, 500, 501])
def test_what_may_not(status: int) -> None:
    assert isinstance(read_answer(Answer(status, b"\x08\x03"), NOW_S), Refused)


def test_success_may_reject_some() -> None:
    assert read_answer(Answer(200), NOW_S) == Sent()
    body = b'{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"old"}}'
    answer = Answer(200, body, "", "application/json")
    assert read_answer(answer, NOW_S) == Sent(3, "old")
    assert read_answer(Answer(200, b"\x0a\x04\x08\x03\x12\x00"), NOW_S) == Sent(3, "")
    assert read_answer(Answer(200, b"not protobuf"), NOW_S) == Sent()
