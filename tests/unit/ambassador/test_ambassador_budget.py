"""How much may be retried."""

from __future__ import annotations

from pillion.ambassador.budget import Budget


def granted(budget: Budget, now: float, wanted: int) -> int:
    return sum(budget.take(now) for _ in range(wanted))


def test_a_share_of_the_requests() -> None:
    budget = Budget(0.2, 0)
    for _ in range(100):
        budget.request(50.0)
    assert granted(budget, 50.0, 100) == 20
    assert (budget.granted, budget.refused) == (20, 80)


def test_a_minimum_for_those_with_few_requests() -> None:
    budget = Budget(0.2, 3)
    assert granted(budget, 50.0, 100) == 30
    assert granted(budget, 55.0, 100) == 0
    assert granted(budget, 60.0, 100) == 30


def test_without_either_nothing_is_retried() -> None:
    budget = Budget(0.0, 0)
    budget.request(50.0)
    assert granted(budget, 50.0, 10) == 0


def test_requests_of_long_ago_earn_nothing() -> None:
    budget = Budget(0.5, 0)
    for _ in range(100):
        budget.request(50.0)
    assert granted(budget, 61.0, 10) == 0


def test_a_storm_of_failures_multiplies_the_load_by_the_share_alone() -> None:
    budget = Budget(0.1, 0)
    retries = 0
    for tick in range(10_000):
        now = 50.0 + tick / 100
        budget.request(now)
        # Every request fails, and so does every retry.
        retries += granted(budget, now, 3)
    assert 900 <= retries <= 1_000


def test_other_bounds_keep_what_was_counted() -> None:
    budget = Budget(1.0, 0)
    for _ in range(10):
        budget.request(50.0)
    assert granted(budget, 50.0, 5) == 5
    budget.configure(0.5, 0)
    assert granted(budget, 50.0, 5) == 0
    budget.configure(0.8, 0)
    assert granted(budget, 50.0, 5) == 3


def test_clocks_that_jump() -> None:
    budget = Budget(0.5, 0)
    budget.request(50.0)
    budget.request(50.0)
    assert budget.take(20.0)
    assert not budget.take(20.0)
    assert not budget.take(1e9)
