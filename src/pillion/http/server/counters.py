"""What the server counts, so that nothing it refuses or cuts goes unseen."""

import msgspec


class Counters(msgspec.Struct):
    """Totals since the start; `open` and `busy` are the present numbers."""

    accepted: int = 0
    adopted: int = 0
    open: int = 0
    busy: int = 0
    """Connections whose handler is at work."""
    requests: int = 0
    responses: dict[str, int] = msgspec.field(
        default_factory=lambda: dict.fromkeys(("1xx", "2xx", "3xx", "4xx", "5xx"), 0)
    )
    bytes_in: int = 0
    bytes_out: int = 0
    rejected: int = 0
    """Messages refused before a handler saw them."""
    timeouts: int = 0
    """Connections or requests ended because the peer was too slow."""
    failures: int = 0
    """Handlers that raised."""
    truncated: int = 0
    """Answers broken off after their head was sent."""
    accept_errors: int = 0
    """Accepts that failed, for want of descriptors for instance."""

    def as_dict(self) -> dict[str, int | dict[str, int]]:
        """Return the counters as plain data."""
        return msgspec.structs.asdict(self)
