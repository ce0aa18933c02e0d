"""The time of day as answers have it."""

from __future__ import annotations

import time


def now_stamp() -> str:
    """Now in RFC 3339, UTC, to the millisecond."""
    seconds, ns = divmod(time.time_ns(), 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{ns // 1_000_000:03d}Z"
