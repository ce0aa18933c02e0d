"""The HTTP server: listening sockets come in already bound, and leave by hand-over.

It knows no routes and no policy: it turns bytes into `Request`, a handler's `Response` into bytes,
keeps every bound, and loses no request when its process is replaced.
"""

from .counters import Counters
from .limits import ServerLimits
from .listener import Drained, Server
from .messages import Handler, Peer, Refusal, Request, Response, problem

__all__ = [
    "Counters",
    "Drained",
    "Handler",
    "Peer",
    "Refusal",
    "Request",
    "Response",
    "Server",
    "ServerLimits",
    "problem",
]
