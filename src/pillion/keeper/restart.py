"""Whether and when a process that ended is started again. Pure: numbers in, a decision out."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .plan import RestartPlan

RESTART = "restart"
DONE = "done"
FAILED = "failed"

# The sidecar's processes: always, at once after a run that lasted, and never given up on.
SIDECAR_POLICY: RestartPlan = {
    "policy": "always",
    "initial_s": 0.1,
    "max_s": 5.0,
    "factor": 2.0,
    "jitter": 0.2,
    "limit": 0,
    "reset_after_s": 0.5,
}


class Decision:
    """`verdict` is RESTART, DONE (ended as it should) or FAILED; `failures` is the count to remember; `delay_s` until the start."""

    __slots__ = ("delay_s", "failures", "reason", "verdict")

    def __init__(self, verdict: str, failures: int, delay_s: float, reason: str) -> None:
        self.verdict = verdict
        self.failures = failures
        self.delay_s = delay_s
        self.reason = reason


def draw() -> float:
    """Return a number that is uniform in [0, 1), without the start-up cost of the random module."""
    return int.from_bytes(os.urandom(4), "little") / 2**32


def backoff_s(policy: RestartPlan, failures: int, random: float) -> float:
    """Return the delay before restart number `failures` (from 1): exponential, capped, spread by the jitter.

    `random` is uniform in [0, 1); the result lies within plus or minus `jitter` of the exponential delay.
    """
    delay = policy["initial_s"]
    for _ in range(failures - 1):
        delay *= policy["factor"]
        if delay >= policy["max_s"]:
            break
    delay = min(delay, policy["max_s"])
    return delay * (1 + policy["jitter"] * (2 * random - 1))


def decide(
    policy: RestartPlan, failures: int, *, success: bool, ran_s: float, random: float
) -> Decision:
    """Decide after an exit. `failures` counts restarts since the last run of at least `reset_after_s`."""
    mode = policy["policy"]
    if mode == "never" or (mode == "on-failure" and success):
        return Decision(DONE, failures, 0.0, f"restart policy is {mode}")
    healthy = ran_s >= policy["reset_after_s"]
    failures = 1 if healthy else failures + 1
    limit = policy["limit"]
    if limit and failures > limit:
        return Decision(
            FAILED,
            failures,
            0.0,
            f"gave up after {limit} restarts without a run of {policy['reset_after_s']:g} s",
        )
    delay_s = backoff_s(policy, failures, random)
    if healthy and policy is SIDECAR_POLICY:
        delay_s = 0.0
    return Decision(RESTART, failures, delay_s, f"restart {failures} in {delay_s:.2f} s")
