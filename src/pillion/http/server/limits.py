"""Every bound of the server, in one place."""

import msgspec

from pillion.http.codec import Limits


class ServerLimits(msgspec.Struct, frozen=True):
    """Bounds of a server; times in seconds, sizes in bytes."""

    target_bytes: int = 8192
    header_bytes: int = 32768
    header_count: int = 100
    body_bytes: int = 64 << 20
    trailer_bytes: int = 8192
    header_timeout_s: float = 10.0
    """From the first byte of a head (or from the accept) to its end; then 408."""
    idle_timeout_s: float = 75.0
    """Between two requests."""
    body_timeout_s: float = 30.0
    """Without a byte of the body while the handler waits for it; then 408."""
    write_timeout_s: float = 30.0
    """Without the peer taking a byte of an answer; then the connection is cut."""
    linger_s: float = 2.0
    """For the peer to read the last answer and close, before we do."""
    max_connections: int = 4096
    """Above it nothing is accepted: connections wait in the backlog."""
    max_pipelined: int = 16
    """Requests of one connection answered in a row before others get their turn."""
    buffer_bytes: int = 65536
    """Unread body or pipelined requests held per connection before reading pauses."""

    def codec(self) -> Limits:
        """Return the part that the codec keeps."""
        return Limits(
            target_bytes=self.target_bytes,
            header_bytes=self.header_bytes,
            header_count=self.header_count,
            body_bytes=self.body_bytes,
            trailer_bytes=self.trailer_bytes,
        )

    def sweep_s(self) -> float:
        """Return how often timeouts are looked at: a quarter of the shortest, 20 ms to 0.5 s."""
        shortest = min(
            self.header_timeout_s,
            self.idle_timeout_s,
            self.body_timeout_s,
            self.write_timeout_s,
            self.linger_s,
        )
        return min(max(shortest / 4, 0.02), 0.5)
