"""Whether and when a failed liveness check restarts the app: `app.restart` bounds it, so that a broken check cannot do so for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pillion.settings.supervision import Restart


class Decision(msgspec.Struct, frozen=True):
    """Restart after `delay_s` seconds, or never (None); `count` is to be remembered, `reason` is for the journal."""

    count: int
    delay_s: float | None
    reason: str


def decide(policy: Restart, count: int, healthy_s: float, random: float) -> Decision:
    """Decide after a liveness check has failed that had been seen healthy for `healthy_s` seconds.

    `count` is how many restarts there were without a healthy run between. The first one waits for nothing, the
    following ones as `policy` says; `random` is uniform in [0, 1). The policy's mode is about how the app ends by itself,
    and does not matter here.
    """
    if healthy_s >= policy.reset_after_s:
        count = 0
    if count >= policy.limit:
        times = "one restart" if policy.limit == 1 else f"{policy.limit} restarts"
        reason = f"not restarted: {times} did not make it pass for {policy.reset_after_s:g} s"
        return Decision(count, None, reason)
    count += 1
    delay_s = _delay_s(policy, count - 1) * (1 + policy.jitter * (2 * random - 1))
    when = "now" if not delay_s else f"in {delay_s:.2f} s"
    return Decision(count, delay_s, f"restart {count} {when}")


def _delay_s(policy: Restart, before: int) -> float:
    if not before:
        return 0.0
    delay_s = policy.initial_s
    for _ in range(before - 1):
        delay_s *= policy.factor
        if delay_s >= policy.max_s:
            break
    return min(delay_s, policy.max_s)
