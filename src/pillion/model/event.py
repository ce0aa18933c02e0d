"""An entry of the journal: what happened to a component, and why."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

KINDS = (
    "started",
    "ready",
    "not-ready",
    "exited",
    "restarting",
    "failed",
    "killed",
    "out-of-memory",
    "hung",
    "notify-refused",
    "healthy",
    "unhealthy",
    "registered",
    "deregistered",
    "stopping",
    "stopped",
    "limits",
    "upgrade-started",
    "upgraded",
    "upgrade-failed",
    "handed-over",
    "reloaded",
    "reload-refused",
    "output-lost",
    "mirror-lost",
    "shipping-stalled",
    "shipping-resumed",
    "keeper-upgraded",
    "guard",
    "config-changed",
    "config-refused",
    "projected",
    "project-failed",
    "lock-lost",
    "store-unavailable",
    "store-available",
    "circuit-opened",
    "circuit-closed",
    "circuit-forced",
    "policy-refused",
    "unresolved",
    "resolved",
    "certificate-changed",
    "certificate-refused",
    "certificate-expires",
    "proxy-applied",
    "proxy-changed",
    "proxy-drift",
    "proxy-edited",
    "proxy-held",
    "proxy-refused",
    "proxy-returned",
)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the `events` stream; `time` is RFC 3339 in UTC, `kind` usually one of `KINDS`."""

    time: str
    kind: str
    component: str = ""
    reason: str = ""
    data: dict[str, object] = {}
