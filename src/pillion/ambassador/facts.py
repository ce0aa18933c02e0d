# cython: annotation_typing=False, auto_pickle=False
"""What is known of one request when it is over, as the request log, the metrics and the spans read it.

One plain object is filled on the way and read by all three, so that they can never disagree about what happened.
"""

OUTBOUND = "outbound"
INBOUND = "inbound"

# Reasons of answers that are no failures: the policy said so.
_INTENDED = frozenset(("direct-answer", "redirect"))


class Facts:
    """One request, or one connection of raw TCP.

    `time_ns` is its start in nanoseconds since the epoch (`WallClock.at`); `connect_s`, `first_s` and `total_s` are
    seconds of a monotonic clock, the latter two from the start of the request to the first and to the last byte of the
    answer; -1.0 where there was none. `bytes_in` and `bytes_out` count body bytes (of raw TCP all of them) from the
    client and to it. `status` is 0 when no answer was begun. `reason` is why Pillion answered by itself, or why it
    ended the exchange, and empty otherwise. `attempts` counts tries, the first included. `route`, `upstream`,
    `endpoint`, `host` and `peer` are names as people write them. `path` and `query` are those of the request as it came,
    `query` without its question mark. `version` is "1.1", "1.0" or "tcp". Ids are lower-case hexadecimal digits.
    """

    __slots__ = (
        "attempts",
        "bytes_in",
        "bytes_out",
        "connect_s",
        "direction",
        "endpoint",
        "first_s",
        "host",
        "listener",
        "method",
        "note",
        "parent_id",
        "path",
        "peer",
        "query",
        "reason",
        "route",
        "sampled",
        "span_id",
        "status",
        "time_ns",
        "total_s",
        "trace_id",
        "upstream",
        "version",
    )

    def __init__(self, direction: str, listener: str) -> None:
        self._at_first(direction, listener)

    def _at_first(self, direction: str, listener: str) -> None:
        """Say what is known of a request of which nothing else is."""
        self.time_ns = 0
        self.direction = direction
        self.listener = listener
        self.route = ""
        self.upstream = ""
        self.endpoint = ""
        self.method = ""
        self.host = ""
        self.path = ""
        self.query = ""
        self.version = "1.1"
        self.status = 0
        self.reason = ""
        self.attempts = 0
        self.connect_s = -1.0
        self.first_s = -1.0
        self.total_s = 0.0
        self.bytes_in = 0
        self.bytes_out = 0
        self.peer = ""
        self.trace_id = ""
        self.span_id = ""
        self.parent_id = ""
        self.sampled = False
        self.note = ""

    def failed(self) -> bool:
        """Return whether this is to be logged whatever is sampled: a 5xx, no answer, a reason or a note of ours."""
        if self.status >= 500 or self.note:
            return True
        return self.reason != "" and self.reason not in _INTENDED

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"Facts({told})"
