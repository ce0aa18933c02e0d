"""Restart policy: numbers in, a decision out."""

from __future__ import annotations

from typing import cast

import pytest

from pillion.keeper import restart
from pillion.keeper.plan import default_plan
from pillion.keeper.restart import DONE, FAILED, RESTART, SIDECAR_POLICY, backoff_s, decide
from pillion.lifecycle.plan import keeper_plan
from pillion.settings import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pillion.keeper.plan import RestartPlan


def policy(mode: str = "on-failure", **other: float) -> RestartPlan:
    base = {**default_plan(["x"], "x")["app"]["restart"], "policy": mode, "jitter": 0.0, **other}
    return cast("RestartPlan", base)


@pytest.mark.parametrize(
    ("mode", "success", "verdict"),
    [
        ("never", True, DONE),
        ("never", False, DONE),
        ("on-failure", True, DONE),
        ("on-failure", False, RESTART),
        ("always", True, RESTART),
        ("always", False, RESTART),
    ],
)
def test_the_policy_decides(mode: str, success: bool, verdict: str) -> None:
    assert decide(policy(mode), 0, success=success, ran_s=1, random=0.5).verdict == verdict


def test_a_process_that_is_not_restarted_counts_no_failure() -> None:
    decision = decide(policy("never"), 3, success=False, ran_s=1, random=0.5)
    assert (decision.failures, decision.delay_s) == (3, 0.0)
    assert decision.reason == "restart policy is never"


def test_the_delay_doubles_up_to_its_cap() -> None:
    delays = [backoff_s(policy(), n, 0.5) for n in range(1, 9)]
    assert delays == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_first_delay_above_the_cap_is_the_cap() -> None:
    assert backoff_s(policy(initial_s=50.0), 1, 0.5) == 30


@pytest.mark.parametrize(("random", "expected"), [(0.0, 8.0), (0.5, 10.0), (1.0, 12.0)])
def test_the_jitter_spreads_the_delay(random: float, expected: float) -> None:
    assert backoff_s(policy(initial_s=10.0, jitter=0.2), 1, random) == pytest.approx(expected)


def test_after_the_limit_it_is_given_up() -> None:
    failures = 0
    verdicts = []
    for _ in range(11):
        decision = decide(policy(), failures, success=False, ran_s=1, random=0.5)
        failures = decision.failures
        verdicts.append(decision.verdict)
    assert verdicts == [RESTART] * 10 + [FAILED]
    assert decision.reason == "gave up after 10 restarts without a run of 60 s"


def test_a_long_run_begins_the_count_anew() -> None:
    decision = decide(policy(), 10, success=False, ran_s=60, random=0.5)
    assert (decision.verdict, decision.failures, decision.delay_s) == (RESTART, 1, 1.0)


def test_a_limit_of_none_never_gives_up() -> None:
    decision = decide(policy(limit=0), 10**6, success=False, ran_s=0, random=0.5)
    assert (decision.verdict, decision.delay_s) == (RESTART, 30.0)


def test_the_sidecar_comes_back_at_once_after_a_run_that_lasted() -> None:
    assert decide(SIDECAR_POLICY, 5, success=False, ran_s=1, random=0.5).delay_s == 0


def test_the_sidecar_backs_off_while_it_dies_at_its_start() -> None:
    failures, delays = 0, []
    for _ in range(8):
        decision = decide(SIDECAR_POLICY, failures, success=False, ran_s=0.1, random=0.5)
        assert decision.verdict == RESTART
        failures = decision.failures
        delays.append(decision.delay_s)
    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])


def test_without_settings_the_plan_is_that_of_settings_with_the_same_command_and_name() -> None:
    settings = parse('[app]\nname = "shop"\ncommand = ["node", "server.js"]\n')
    assert default_plan(["node", "server.js"], "shop") == keeper_plan(settings)


def test_two_default_plans_share_nothing() -> None:
    one, other = default_plan(["x"], "x"), default_plan(["x"], "x")
    one["logs"]["streams"]["stdout"]["pty"] = True
    one["app"]["limits"]["memory"] = 1
    one["agent"]["limits"]["memory"] = 1
    assert other == default_plan(["x"], "x")
    assert restart.SIDECAR_POLICY["policy"] == "always"
