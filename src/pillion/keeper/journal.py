"""The event journal's entry: one line of JSON per event into a pipe of the scribe's, so that it outlives every process of the sidecar."""

from __future__ import annotations

import os
import time

from .lean import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .wire import Json

# One write of at most PIPE_BUF is atomic and never partial (pipe(7)).
_MAX_LINE_BYTES = 4096
_MAX_REASON_CHARACTERS = 1500


def timestamp(time_ns: int | None = None) -> str:
    """Return a time (nanoseconds since the epoch, now by default) as RFC 3339 in UTC with milliseconds."""
    time_ns = time.time_ns() if time_ns is None else time_ns
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time_ns // 1_000_000_000))
    return f"{stamp}.{time_ns // 1_000_000 % 1000:03d}Z"


class Journal:
    """Writes events; `dropped` counts those for which the pipe had no room."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.dropped = 0

    def event(
        self, kind: str, component: str, reason: str, data: dict[str, Json] | None = None
    ) -> None:
        """Enter one event. Never waits, never raises."""
        entry: dict[str, Json] = {
            "time": timestamp(),
            "kind": kind,
            "component": component,
            "reason": reason[:_MAX_REASON_CHARACTERS],
            "data": data or {},
        }
        line = json.dumps(entry).encode() + b"\n"
        if len(line) > _MAX_LINE_BYTES:
            entry["data"] = {"left_out": "too large for the journal"}
            line = json.dumps(entry).encode() + b"\n"
        try:
            os.write(self.fd, line)
        except OSError:
            self.dropped += 1
