"""Times as records tell them; apart from the records, whose reading is more than the agent's start needs."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(time_ns: int) -> str:
    """Return a time in nanoseconds since the epoch as RFC 3339 in UTC with microseconds."""
    moment = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ns // 1000 % 1_000_000:06d}Z"
