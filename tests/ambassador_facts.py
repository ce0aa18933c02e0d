"""Facts of requests as the data path fills them, and the encoders that write them, for tests of sight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.ambassador.facts import INBOUND, OUTBOUND, Facts
from pillion.ambassador.request_log import RequestLog
from pillion.ambassador.spans import Spans

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pillion.settings.ambassador import RequestLog as RequestLogSettings

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
PARENT_ID = "00f067aa0ba902b7"
START_NS = 1_795_360_526_123_456_789


def some_facts(direction: str = OUTBOUND, **changed: object) -> Facts:
    """A request that went well, but for what is `changed`."""
    facts = Facts(direction, "orders" if direction == OUTBOUND else INBOUND)
    facts.time_ns = START_NS
    facts.route = "#1"
    facts.upstream = "orders"
    facts.endpoint = "127.0.0.1:3001"
    facts.method = "GET"
    facts.host = "orders.internal"
    facts.path = "/orders/1"
    facts.query = "page=2"
    facts.status = 200
    facts.attempts = 1
    facts.connect_s = 0.00012
    facts.first_s = 0.0015
    facts.total_s = 0.00225
    facts.bytes_in = 0
    facts.bytes_out = 512
    facts.peer = "127.0.0.1:40000"
    facts.trace_id = TRACE_ID
    facts.span_id = SPAN_ID
    for name, value in changed.items():
        setattr(facts, name, value)
    return facts


def taken(messages: list[bytes]) -> Callable[[bytes], bool]:
    """A `send` that always has room."""

    def send(data: bytes) -> bool:
        messages.append(data)
        return True

    return send


def request_line(
    facts: Facts, settings: RequestLogSettings, loop: asyncio.AbstractEventLoop
) -> bytes:
    """The line of a request's record."""
    return RequestLog(settings, taken([]), loop).encode(facts, None)


def span_line(facts: Facts, settings: RequestLogSettings, loop: asyncio.AbstractEventLoop) -> bytes:
    """The line of a request's span."""
    send = taken([])
    return Spans(RequestLog(settings, send, loop), send, loop).encode(facts)
