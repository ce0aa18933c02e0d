# ruff: noqa: ERA001 # the next line is for Cython
# cython: annotation_typing=False
"""What one line tells about itself, as the recognisers hand it to the encoders."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Facts:
    """What was recognised in one line.

    `time_ns` is nanoseconds since the epoch, 0 when the line tells none; `severity` is an OTLP severity number, 0
    when unknown, and `level` the word it was read from. `body` is the message as bytes, not
    necessarily UTF-8 unless `attributes` is set. `trace` is 16 bytes and `span` 8, or empty.
    """

    def __init__(self, body: bytes) -> None:
        self.attributes: Mapping[str, object] | None = None
        self.begin(body)

    def begin(self, body: bytes) -> None:
        """Forget everything: nothing but the `body` is known."""
        self.body = body
        self.time_ns = 0
        self.severity = 0
        self.level = b""
        self.trace = b""
        self.span = b""
        self.flags = 0
        self.attributes = None


def set_trace(facts: Facts, trace: str, span: str) -> None:
    """Put a trace context into `facts`: 32 and 16 hexadecimal digits, not all zero (W3C Trace Context, 3.2.2)."""
    if len(trace) == 32 and trace.strip("0"):
        facts.trace = bytes.fromhex(trace)
        if len(span) == 16 and span.strip("0"):
            facts.span = bytes.fromhex(span)
