"""Whether a request that failed is tried again, and when."""

from __future__ import annotations

import math
from random import Random

import pytest

from pillion.ambassador.budget import Budget
from pillion.ambassador.conditions import NAMES, Conditions
from pillion.ambassador.retry import Failure, RetryPolicy, is_idempotent
from pillion.settings.policies import BREAKER_CONDITIONS, NO_RETRY, RETRY_CONDITIONS, Retry

REFUSED = Failure("connect", sent=False)
RESET = Failure("reset")
PLENTY = Retry(attempts=3, on=RETRY_CONDITIONS, initial_s=0.1, max_s=0.3, retry_after_s=2.0)


def delay(
    settings: Retry = PLENTY,
    failure: Failure = RESET,
    attempt: int = 1,
    *,
    idempotent: bool = True,
    replayable: bool = True,
    left_s: float = math.inf,
    budget: Budget | None = None,
    seed: int = 1,
) -> float | None:
    return RetryPolicy(settings).delay(
        attempt,
        failure,
        idempotent=idempotent,
        replayable=replayable,
        left_s=left_s,
        budget=budget or Budget(1.0, 100),
        random=Random(seed),
        now=50.0,
    )


@pytest.mark.parametrize(
    ("condition", "failure"),
    [
        ("connect", REFUSED),
        ("reset", RESET),
        ("timeout", Failure("timeout")),
        ("unavailable", Failure("status", 503)),
        ("gateway", Failure("status", 502)),
        ("gateway", Failure("status", 504)),
        ("5xx", Failure("status", 500)),
        ("5xx", Failure("status", 503)),
        ("5xx", Failure("status", 599)),
        ("429", Failure("status", 429)),
    ],
)
def test_each_condition_and_what_it_means(condition: str, failure: Failure) -> None:
    assert delay(PLENTY.replace(on=(condition,)), failure) is not None
    others = tuple(name for name in RETRY_CONDITIONS if name not in (condition, "5xx"))
    if condition != "5xx":
        assert delay(PLENTY.replace(on=others), failure) is None


def test_what_the_client_did_wrong_is_no_failure() -> None:
    policy = RetryPolicy(PLENTY)
    failures = [status for status in range(100, 600) if policy.is_failure(status)]
    assert failures == [429, *range(500, 508), *range(509, 600)]


def test_the_words_of_the_settings_are_known() -> None:
    assert set(NAMES) == set(RETRY_CONDITIONS) == set(BREAKER_CONDITIONS)
    with pytest.raises(ValueError, match="cannot judge failures by 'refused': use connect, reset"):
        Conditions(["refused"])


def test_so_many_further_tries() -> None:
    assert [delay(attempt=attempt) is not None for attempt in (1, 2, 3, 4)] == [
        True,
        True,
        True,
        False,
    ]
    assert delay(NO_RETRY) is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"])
def test_methods_that_may_be_repeated(method: str) -> None:
    assert is_idempotent(method)


@pytest.mark.parametrize("method", ["POST", "PATCH", "CONNECT", "get", "LOCK", ""])
def test_methods_that_may_not(method: str) -> None:
    assert not is_idempotent(method)


def test_what_may_have_taken_effect_is_not_repeated() -> None:
    for failure in (RESET, Failure("timeout"), Failure("status", 503)):
        assert delay(failure=failure, idempotent=False) is None
        assert delay(PLENTY.replace(unsafe=True), failure, idempotent=False) is not None


def test_what_was_never_sent_is_repeated_whatever_it_is() -> None:
    assert delay(failure=REFUSED, idempotent=False) is not None
    assert delay(failure=Failure("reset", sent=False), idempotent=False) is not None


def test_what_cannot_be_sent_again_is_not() -> None:
    for failure in (REFUSED, RESET):
        assert delay(PLENTY.replace(unsafe=True), failure, replayable=False) is None


def test_the_waits_double_up_to_the_longest_with_full_jitter() -> None:
    for attempt, most_s in ((1, 0.1), (2, 0.2), (3, 0.3)):
        waits = [delay(attempt=attempt, seed=seed) for seed in range(500)]
        assert all(wait_s is not None and 0.0 <= wait_s <= most_s for wait_s in waits)
        known = [wait_s for wait_s in waits if wait_s is not None]
        assert min(known) < 0.1 * most_s
        assert max(known) > 0.9 * most_s


def test_a_thousandth_try_waits_no_longer() -> None:
    many = PLENTY.replace(attempts=10_000)
    assert delay(many, attempt=9_999) is not None


def test_retry_after_is_honoured() -> None:
    asked = Failure("status", 503, retry_after_s=1.5)
    assert delay(failure=asked) == 1.5
    assert delay(failure=Failure("status", 503, retry_after_s=0.0)) == delay()


def test_a_retry_after_that_is_too_long_ends_the_tries() -> None:
    assert delay(failure=Failure("status", 503, retry_after_s=2.001)) is None
    assert delay(failure=Failure("status", 503, retry_after_s=math.inf)) is None


def test_a_wait_that_does_not_fit_into_the_time_left_is_none() -> None:
    asked = Failure("status", 503, retry_after_s=1.5)
    assert delay(failure=asked, left_s=1.51) == 1.5
    assert delay(failure=asked, left_s=1.5) is None
    assert delay(failure=asked, left_s=0.0) is None
    assert delay(failure=asked, left_s=-1.0) is None


def test_the_budget_decides_last_and_counts_what_happens() -> None:
    budget = Budget(0.0, 0.2)  # two in ten seconds
    for refused in (
        delay(attempt=9, budget=budget),
        delay(replayable=False, budget=budget),
        delay(idempotent=False, budget=budget),
        delay(failure=Failure("status", 404), budget=budget),
        delay(failure=Failure("status", 503, retry_after_s=60.0), budget=budget),
        delay(left_s=0.0, budget=budget),
    ):
        assert refused is None
    assert (budget.granted, budget.refused) == (0, 0)
    assert [delay(budget=budget) is not None for _ in range(3)] == [True, True, False]
    assert (budget.granted, budget.refused) == (2, 1)
