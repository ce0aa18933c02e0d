# cython: annotation_typing=False, auto_pickle=False
"""Spans of sampled requests: a line in the spool stream `spans`, which the shipper turns into OTLP.

A span's line is the request's record with what a span has beside it, so that both say the same and hide the same.
"""

from typing import TYPE_CHECKING

from .outlet import Outlet

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from .facts import Facts
    from .request_log import RequestLog


class Spans:
    """Writes the spans of requests whose trace is sampled; `log` gives the records, `written` counts."""

    __slots__ = ("_log", "outlet", "written")

    def __init__(
        self,
        log: "RequestLog",
        send: "Callable[[bytes], bool]",
        loop: "asyncio.AbstractEventLoop",
    ) -> None:
        self.outlet = Outlet(send, loop)
        self.written = 0
        self._log = log

    def write(self, facts: "Facts") -> None:
        """Write the span of a request that is over, when its trace is sampled."""
        if not facts.sampled or not facts.span_id:
            return
        self.written += 1
        self.outlet.add(self.encode(facts))

    def close(self) -> None:
        """Hand over what has been gathered."""
        self.outlet.close()

    def encode(self, facts: "Facts") -> bytes:
        """Return the line of a span: the record with `parent_id`, and with `start_ns` and `end_ns` since the epoch."""
        end_ns = facts.time_ns + max(0, int(facts.total_s * 1e9))
        more = f'{{"parent_id":"{facts.parent_id}","start_ns":{facts.time_ns},"end_ns":{end_ns},'
        return more.encode() + self._log.encode(facts, None)[1:]
