"""Token buckets."""

from __future__ import annotations

import pytest

from pillion.ambassador.rate import Bucket, Buckets


def test_a_burst_and_then_the_rate() -> None:
    bucket = Bucket(10.0, 5, 100.0)
    assert [bucket.take(100.0) for _ in range(5)] == [0.0] * 5
    assert bucket.take(100.0) == pytest.approx(0.1)
    assert bucket.take(100.05) == pytest.approx(0.05)
    assert bucket.take(100.1) == 0.0
    assert bucket.take(100.1) == pytest.approx(0.1)
    assert bucket.refused == 3


def test_who_was_refused_has_taken_nothing() -> None:
    bucket = Bucket(1.0, 1, 0.0)
    assert bucket.take(0.0) == 0.0
    for _ in range(1000):
        assert bucket.take(0.5) == pytest.approx(0.5)
    assert bucket.take(1.0) == 0.0


@pytest.mark.parametrize("rate_per_s", [1e-4, 0.3, 1.0, 7.0, 333.0, 1e5, 3e6])
def test_who_waits_as_told_gets_a_token(rate_per_s: float) -> None:
    now = 123_456.789
    bucket = Bucket(rate_per_s, 1, now)
    for _ in range(1000):
        assert bucket.take(now) == 0.0
        now += bucket.take(now)


def test_a_burst_of_nothing_is_a_second_or_one_token() -> None:
    for rate_per_s, tokens in ((5.0, 5), (0.1, 1)):
        bucket = Bucket(rate_per_s, 0, 0.0)
        assert [bucket.take(0.0) == 0.0 for _ in range(tokens + 1)] == [True] * tokens + [False]


def test_a_long_rest_saves_no_more_than_the_burst() -> None:
    bucket = Bucket(10.0, 3, 0.0)
    assert sum(bucket.take(1e6) == 0.0 for _ in range(100)) == 3


def test_a_clock_that_goes_back_shuts_nobody_out() -> None:
    bucket = Bucket(10.0, 1, 1e6)
    bucket.take(1e6)
    # A bucket that would be full in 11 days is taken for an empty one.
    assert bucket.take(5.0) == pytest.approx(0.1)
    assert bucket.take(5.1) == 0.0


def test_another_rate_holds_at_once() -> None:
    bucket = Bucket(1.0, 100, 0.0)
    for _ in range(100):
        assert bucket.take(0.0) == 0.0
    bucket.configure(10.0, 1)
    # What was taken under the old burst is no debt of a hundred seconds.
    assert bucket.take(0.0) == pytest.approx(0.1)
    assert bucket.take(0.1) == 0.0


def test_each_key_has_its_own() -> None:
    buckets = Buckets(1.0, 2)
    assert [buckets.take("a", 0.0) for _ in range(3)] == [0.0, 0.0, pytest.approx(1.0)]
    assert [buckets.take("b", 0.0) for _ in range(3)] == [0.0, 0.0, pytest.approx(1.0)]
    assert buckets.take("a", 1.0) == 0.0
    assert (buckets.refused, len(buckets)) == (2, 2)


def test_the_keys_are_bounded_and_those_used_last_stay() -> None:
    buckets = Buckets(1.0, 1, most=3)
    for key in ("a", "b", "c"):
        assert buckets.take(key, 0.0) == 0.0
    assert buckets.take("a", 0.5) == pytest.approx(0.5)
    assert buckets.take("d", 0.5) == 0.0
    # b was used longest ago: it is forgotten, and this is told, for it was not full.
    assert (len(buckets), buckets.dropped) == (3, 1)
    assert buckets.take("a", 0.5) == pytest.approx(0.5)
    assert buckets.take("b", 0.5) == 0.0


def test_forgetting_a_full_bucket_is_no_loss() -> None:
    buckets = Buckets(10.0, 1, most=10)
    for number in range(1000):
        assert buckets.take(number, float(number)) == 0.0
    assert (len(buckets), buckets.dropped) == (10, 0)


def test_a_flood_of_addresses() -> None:
    buckets = Buckets(0.001, 1)
    for number in range(100_000):
        assert buckets.take(number, 5.0) == 0.0
    assert (len(buckets), buckets.dropped) == (10_000, 90_000)


def test_keys_and_clocks_that_go_back() -> None:
    buckets = Buckets(10.0, 1)
    buckets.take("a", 1e6)
    assert buckets.take("a", 5.0) == pytest.approx(0.1)
    assert buckets.take("a", 5.1) == 0.0
