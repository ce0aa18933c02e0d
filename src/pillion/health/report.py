"""Health as it is told: to the app, to load balancers, and in the store of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.health.check import CRITICAL

if TYPE_CHECKING:
    from pillion.health.board import Entry


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """One check. `since` is when its status last changed, `checked` when it was last asked or told; RFC 3339.

    `failures` is how many in a row count against it. `counts` is false while it has no say: before the start-up
    checks have passed, and for a check that a reload has added until it is decided.
    """

    name: str
    status: str
    output: str
    since: str
    duration_ms: float | None
    kind: str
    probe: str
    checked: str | None
    failures: int
    counts: bool
    registered: bool
    """Whether it came by the API; the others stand in the settings."""


class HealthReport(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `GET /v1/health`. `reasons` says why it is not passing: the app itself, then each check."""

    status: str
    checks: list[CheckReport]
    reasons: list[str]


class HealthStatus(msgspec.Struct, frozen=True):
    """The answer to a probe without a token."""

    status: str


def check_report(entry: Entry, *, counts: bool, registered: bool) -> CheckReport:
    """One entry, told."""
    check, state = entry.check, entry.state
    return CheckReport(
        name=check.name,
        status=state.status,
        output=state.output,
        since=entry.since,
        duration_ms=None if state.duration_s is None else round(state.duration_s * 1000, 1),
        kind=check.kind,
        probe=check.probe.sort,
        checked=entry.checked,
        failures=state.falls,
        counts=counts,
        registered=registered,
    )


def reason(entry: Entry) -> str:
    """Why a check is not passing, in one line."""
    first = entry.state.output.partition("\n")[0]
    words = "is critical" if entry.state.status == CRITICAL else "warns"
    return (
        f"check {entry.check.name} {words}: {first}"
        if first
        else f"check {entry.check.name} {words}"
    )
