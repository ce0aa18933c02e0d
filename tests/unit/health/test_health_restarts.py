"""Restarts for a failed liveness check."""

from __future__ import annotations

import pytest

from pillion.health.restarts import decide
from pillion.settings.supervision import Restart

POLICY = Restart(initial_s=1.0, max_s=8.0, factor=2.0, jitter=0.0, limit=5, reset_after_s=60.0)


def test_a_check_that_never_passes_stops_restarting() -> None:
    count, delays = 0, []
    for _ in range(20):
        decision = decide(POLICY, count, 0.0, 0.5)
        count = decision.count
        delays.append(decision.delay_s)
    assert delays == [0.0, 1.0, 2.0, 4.0, 8.0] + [None] * 15


def test_a_healthy_run_is_forgiven() -> None:
    decision = decide(POLICY, 5, 60.0, 0.5)
    assert (decision.count, decision.delay_s) == (1, 0.0)


def test_nearly_healthy_is_not() -> None:
    assert decide(POLICY, 5, 59.9, 0.5).delay_s is None


@pytest.mark.parametrize(("random", "delay"), [(0.0, 0.8), (0.5, 1.0), (0.999, 1.1996)])
def test_jitter(random: float, delay: float) -> None:
    found = decide(POLICY.replace(jitter=0.2), 1, 0.0, random).delay_s
    assert found == pytest.approx(delay)


def test_the_reason_says_it() -> None:
    assert decide(POLICY, 0, 0.0, 0.5).reason == "restart 1 now"
    assert decide(POLICY, 1, 0.0, 0.5).reason == "restart 2 in 1.00 s"
    given_up = "not restarted: 5 restarts did not make it pass for 60 s"
    assert decide(POLICY, 5, 0.0, 0.5).reason == given_up
