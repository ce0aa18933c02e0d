# cython: annotation_typing=False, auto_pickle=False
"""What connections ask of their server at each request; apart from it, so that compiled they need no look-up for it."""

import asyncio

from .counters import Counters
from .limits import ServerLimits
from .messages import Handler


class Shared:
    """What all connections of a server have in common: what they read, and what they count in.

    `tick` counts the server's sweeps. `closing_answers` says whether answers carry Connection: close.
    """

    __slots__ = (
        "buffer_bytes",
        "closing_answers",
        "codec_limits",
        "counters",
        "date_line",
        "draining",
        "handler",
        "limits",
        "loop",
        "max_pipelined",
        "tick",
    )

    def __init__(self, handler: Handler, limits: ServerLimits) -> None:
        self.handler = handler
        self.limits = limits
        self.codec_limits = limits.codec()
        self.max_pipelined = limits.max_pipelined
        self.buffer_bytes = limits.buffer_bytes
        self.counters = Counters()
        self.loop = asyncio.get_running_loop()
        self.tick = 0
        self.draining = False
        self.closing_answers = False
        self.date_line = b""
