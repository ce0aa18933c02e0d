"""The asyncio client: pooled, bounded, and honest about what it does not know.

A request is repeated only where nobody can have acted upon it; a stream that ends too early is an
error, never a short answer; every wait has a bound.
"""

from .errors import ClientError, ConnectError, ProtocolError, Timeout
from .exchange import Client, ClientResponse
from .pool import ClientCounters, ClientLimits

__all__ = [
    "Client",
    "ClientCounters",
    "ClientError",
    "ClientLimits",
    "ClientResponse",
    "ConnectError",
    "ProtocolError",
    "Timeout",
]
