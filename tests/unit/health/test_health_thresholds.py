"""When results become a status."""

from __future__ import annotations

import pytest

from pillion.health.check import (
    CRITICAL,
    LIVENESS,
    PASSING,
    READINESS,
    STARTUP,
    WARNING,
    Check,
    Tcp,
    Ttl,
)
from pillion.health.result import Result, Verdict
from pillion.health.thresholds import State, expire, initial, observe, told

GOOD, WARN, BAD = (Result(one, one.value) for one in (Verdict.PASS, Verdict.WARN, Verdict.FAIL))
TCP = Tcp("127.0.0.1", 1)


def check(**changes: object) -> Check:
    return Check(**{"name": "db", "probe": TCP, "rise": 2, "fall": 3, **changes})  # type: ignore[arg-type]


def after(one: Check, results: str, state: State | None = None) -> State:
    """The state after results written as letters: g, w, b; one second each."""
    letters = {"g": GOOD, "w": WARN, "b": BAD}
    state = state or initial(one, 0.0)
    for second, letter in enumerate(results):
        state = observe(one, state, letters[letter], float(second))
    return state


@pytest.mark.parametrize(
    ("kind", "status"), [(READINESS, CRITICAL), (STARTUP, CRITICAL), (LIVENESS, PASSING)]
)
def test_before_anything_is_known(kind: str, status: str) -> None:
    state = initial(check(kind=kind), 0.0)
    assert (state.status, state.decided) == (status, False)


@pytest.mark.parametrize(
    ("results", "status", "decided"),
    [
        ("g", CRITICAL, False),
        ("gg", PASSING, True),
        ("gbg", CRITICAL, False),
        ("ggb", PASSING, True),
        ("ggbb", PASSING, True),
        ("ggbbb", CRITICAL, True),
        ("ggbbgbb", PASSING, True),
        ("ggbbbg", CRITICAL, True),
        ("ggbbbgg", PASSING, True),
        ("ggbbbgbg", CRITICAL, True),
        ("bb", CRITICAL, False),
        ("bbb", CRITICAL, True),
        ("ww", WARNING, True),
        ("ggw", WARNING, True),
        ("ggwg", PASSING, True),
        ("ggwbbb", CRITICAL, True),
        ("gw", WARNING, True),
    ],
)
def test_rise_and_fall(results: str, status: str, decided: bool) -> None:
    state = after(check(), results)
    assert (state.status, state.decided) == (status, decided)


def test_what_is_counted_never_exceeds_its_bound() -> None:
    assert after(check(), "b" * 100).falls == 3
    assert after(check(), "g" * 100).rises == 2


def test_failures_in_the_grace_do_not_count() -> None:
    one = check(grace_s=10.0, fall=1)
    state = initial(one, 100.0)
    state = observe(one, state, BAD, 109.9)
    assert not state.decided
    assert observe(one, state, BAD, 110.0).decided


def test_a_success_ends_the_grace() -> None:
    one = check(grace_s=10.0, fall=1, rise=1)
    state = observe(one, initial(one, 0.0), GOOD, 1.0)
    assert observe(one, state, BAD, 2.0).status == CRITICAL


def test_an_early_failure_does_not_count_and_an_early_success_does() -> None:
    one = check(fall=1, rise=1)
    state = observe(one, initial(one, 0.0), BAD, 0.0, early=True)
    assert not state.decided
    assert observe(one, state, GOOD, 0.1, early=True).status == PASSING


def test_what_was_said_last_is_shown_whether_it_counts_or_not() -> None:
    one = check(grace_s=10.0)
    assert observe(one, initial(one, 0.0), BAD, 1.0).output == "fail"


def test_who_tells_is_believed_at_once() -> None:
    one = check(probe=Ttl(10.0))
    state = initial(one, 0.0)
    for result, status in [(GOOD, PASSING), (BAD, CRITICAL), (WARN, WARNING), (GOOD, PASSING)]:
        state = told(state, result, 1.0)
        assert state.status == status
    state = expire(one, state)
    assert state.status == CRITICAL
    assert state.output == "nobody said pass, warn or fail within 10 s"


def test_how_long_it_was_healthy() -> None:
    one = check(rise=1)
    state = initial(one, 0.0)
    assert state.healthy_s == 0.0
    for second, result in [(5, GOOD), (9, GOOD), (12, BAD)]:
        state = observe(one, state, result, float(second))
    assert state.healthy_s == 4.0
