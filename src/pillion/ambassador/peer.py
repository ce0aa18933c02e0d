# cython: annotation_typing=False, auto_pickle=False
"""Who is at the other end of an accepted connection, as everything behind the listener sees it."""

from collections.abc import Callable

PLAIN = b"http"
SECURE = b"https"


class Peer:
    """One accepted connection's other end; all plain values.

    `address` and `port` are the client's: those that a PROXY header names when one is expected, the socket's otherwise.
    `server_address` and `server_port` are where the client had connected to. `scheme` is b"https" behind our TLS, b"http"
    otherwise. `names` are those of the client's verified certificate (SAN URIs and DNS names, then the CN), empty
    without one. `listener` is the listener's name. Whoever serves the connection calls `left` once, when it is lost.
    """

    __slots__ = (
        "_gone",
        "address",
        "listener",
        "names",
        "port",
        "scheme",
        "server_address",
        "server_port",
    )

    def __init__(
        self,
        address: str = "",
        port: int = 0,
        *,
        server_address: str = "",
        server_port: int = 0,
        scheme: bytes = PLAIN,
        names: tuple[str, ...] = (),
        listener: str = "",
        gone: Callable[[], None] | None = None,
    ) -> None:
        self.address = address
        self.port = port
        self.server_address = server_address
        self.server_port = server_port
        self.scheme = scheme
        self.names = names
        self.listener = listener
        self._gone = gone

    def left(self) -> None:
        """Tell the listener that the connection is over, so that another may take its place; once is enough, twice is harmless."""
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()

    def __str__(self) -> str:
        """`address:port`, an IPv6 address in brackets; "unix" for a Unix socket."""
        if not self.address:
            return "unix"
        if ":" in self.address:
            return f"[{self.address}]:{self.port}"
        return f"{self.address}:{self.port}"
