# cython: annotation_typing=False, auto_pickle=False
"""What the server counts, so that nothing it refuses or cuts goes unseen."""

_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")


class Counters:
    """Totals since the start; `open` and `busy` are the present numbers.

    `busy` counts connections whose handler is at work, `rejected` messages refused before a handler saw them, `timeouts`
    connections or requests ended because the peer was too slow, `failures` handlers that raised, `truncated` answers broken
    off after their head was sent, and `accept_errors` accepts that failed, for want of descriptors for instance.
    """

    __slots__ = (
        "_answers",
        "accept_errors",
        "accepted",
        "adopted",
        "busy",
        "bytes_in",
        "bytes_out",
        "failures",
        "open",
        "rejected",
        "requests",
        "timeouts",
        "truncated",
    )

    def __init__(self) -> None:
        self.accepted = 0
        self.adopted = 0
        self.open = 0
        self.busy = 0
        self.requests = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.rejected = 0
        self.timeouts = 0
        self.failures = 0
        self.truncated = 0
        self.accept_errors = 0
        self._answers = [0, 0, 0, 0, 0]

    def answered(self, status: int) -> None:
        """Count an answer with `status`."""
        self._answers[status // 100 - 1] += 1

    @property
    def responses(self) -> dict[str, int]:
        """Answers by the class of their status: `2xx`."""
        return dict(zip(_CLASSES, self._answers, strict=True))
