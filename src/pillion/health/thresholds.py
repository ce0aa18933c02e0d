"""When results become a status. Thresholds live here, so that a flapping probe cannot flap whoever reads the status.

    not decided ──rise good──> passing | warning <──rise good── critical
         └───────fall bad────> critical <──fall bad── passing | warning

Before anything is decided the status is the one that harms least, as in Kubernetes: an app is not ready until it has been seen
ready, and alive until it has been seen dead. What is told (ttl) needs no counting: who tells knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.health.check import CRITICAL, LIVENESS, PASSING, WARNING, Ttl
from pillion.health.result import Verdict

if TYPE_CHECKING:
    from pillion.health.check import Check
    from pillion.health.result import Result

NOT_YET = "not checked yet"


class State(msgspec.Struct, frozen=True):
    """What is known of a check. `rises` and `falls` are results in a row, as far as they matter.

    Failures before `grace_until` do not count. `good_from` and `good_until` are the first and the last success
    since the app's start, None without one.
    """

    status: str
    decided: bool = False
    rises: int = 0
    falls: int = 0
    output: str = NOT_YET
    duration_s: float | None = None
    grace_until: float = 0.0
    good_from: float | None = None
    good_until: float | None = None

    @property
    def healthy_s(self) -> float:
        """How long it has been seen healthy since the app's start, in seconds."""
        if self.good_from is None or self.good_until is None:
            return 0.0
        return self.good_until - self.good_from


def initial(check: Check, now: float) -> State:
    """The state of a check of which nothing is known, when the app starts at `now`."""
    status = PASSING if check.kind == LIVENESS else CRITICAL
    return State(status, grace_until=now + check.grace_s)


def adopt(check: Check, state: State) -> State:
    """The state that a changed check begins with: the status stays, what has been counted does not."""
    del check
    return msgspec.structs.replace(state, rises=0, falls=0)


def observe(
    check: Check, state: State, result: Result, now: float, *, early: bool = False
) -> State:
    """The state after `result`. An `early` failure, of an attempt before its time, does not count."""
    if isinstance(check.probe, Ttl):
        return told(state, result, now)
    seen = msgspec.structs.replace(state, output=result.output, duration_s=result.duration_s)
    if result.good:
        rises = min(state.rises + 1, check.rise)
        seen = _good(msgspec.structs.replace(seen, rises=rises, falls=0), now)
        settled = state.decided and state.status != CRITICAL
        return _settle(seen, result.verdict) if settled or rises >= check.rise else seen
    if early or now < state.grace_until:
        return msgspec.structs.replace(seen, rises=0)
    falls = min(state.falls + 1, check.fall)
    seen = msgspec.structs.replace(seen, rises=0, falls=falls)
    return (
        msgspec.structs.replace(seen, status=CRITICAL, decided=True)
        if falls >= check.fall
        else seen
    )


def told(state: State, result: Result, now: float) -> State:
    """The state after somebody has said so: at once."""
    seen = msgspec.structs.replace(state, output=result.output, duration_s=None)
    if result.good:
        return _settle(_good(msgspec.structs.replace(seen, rises=1, falls=0), now), result.verdict)
    return msgspec.structs.replace(seen, rises=0, falls=1, status=CRITICAL, decided=True)


def expire(check: Check, state: State) -> State:
    """The state of a ttl check that nobody has fed in time."""
    assert isinstance(check.probe, Ttl)
    output = f"nobody said pass, warn or fail within {check.probe.ttl_s:g} s"
    return msgspec.structs.replace(
        state, status=CRITICAL, decided=True, rises=0, falls=1, output=output
    )


def _good(state: State, now: float) -> State:
    first = now if state.good_from is None else state.good_from
    return msgspec.structs.replace(state, good_from=first, good_until=now, grace_until=now)


def _settle(state: State, verdict: Verdict) -> State:
    status = WARNING if verdict is Verdict.WARN else PASSING
    return msgspec.structs.replace(state, status=status, decided=True)
