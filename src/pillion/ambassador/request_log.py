# cython: annotation_typing=False, auto_pickle=False
"""The request log: one JSON object a line for every request, written by hand because it is written for every request.

What stays the same between requests (names of route, upstream and endpoint) is kept as text; the rest is looked at once,
all together, for characters that need escaping, and only the rare text that has some goes the long way.
"""

from typing import TYPE_CHECKING

from .outlet import Outlet
from .record_text import are_plain, quoted
from .redaction import HIDDEN, Redaction
from .trace import Ids
from .wall import WallClock

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pillion.http.codec.events import Headers
    from pillion.settings.ambassador import RequestLog as RequestLogSettings

    from .facts import Facts

# Bounds of the texts of a record, in bytes with escapes; all together with the names of the fields stay under 8 KiB.
_NAME_BYTES = 160
_METHOD_BYTES = 32
_HOST_BYTES = 256
PATH_BYTES = 2048
QUERY_BYTES = 1536
_PEER_BYTES = 96
_REASON_BYTES = 96
_HEADERS_BYTES = 1536
_HEADER_BYTES = 256

# Looked up, not formatted.
_THREE = tuple(f"{number:03d}" for number in range(1000))

# Combinations of listener, route, upstream and endpoint: bounded by the settings, if not by the registry.
_MOST_PLACES = 2048


class RequestLog:
    """Writes facts as records into `send` (see `Outlet`), which go to the spool stream `requests`.

    `written` counts records, `skipped` requests that sampling left out; what was lost is counted by `outlet`.
    """

    __slots__ = (
        "_enabled",
        "_errors",
        "_headers",
        "_ids",
        "_limit",
        "_places",
        "_redaction",
        "_settings",
        "_wall",
        "outlet",
        "skipped",
        "written",
    )

    def __init__(
        self,
        settings: "RequestLogSettings",
        send: "Callable[[bytes], bool]",
        loop: "asyncio.AbstractEventLoop",
    ) -> None:
        self.outlet = Outlet(send, loop)
        self.written = 0
        self.skipped = 0
        self._ids = Ids()
        self._wall = WallClock()
        self._places: dict[tuple[str, str, str, str, str], str] = {}
        self._settings: RequestLogSettings | None = None
        self.configure(settings)

    def configure(self, settings: "RequestLogSettings") -> None:
        """Take other settings from the next record on."""
        if settings == self._settings:
            return  # a snapshot comes with every endpoint that does
        self._settings = settings
        self._enabled = settings.enabled
        self._errors = settings.errors
        # Of the last 56 bits of a trace id, which are random also where its beginning is a time.
        self._limit = int(settings.sample * (1 << 56)) if settings.sample < 1.0 else 1 << 56
        self._redaction = Redaction(settings.redact)
        self._headers = tuple(
            (
                name.lower().encode(),
                quoted(name.lower(), _NAME_BYTES),
                self._redaction.hides(name),
            )
            for name in settings.headers
        )

    def write(self, facts: "Facts", headers: "Headers | None") -> None:
        """Write the record of a request that is over; `headers` are those of the request."""
        if not self._enabled:
            return
        if self._limit < 1 << 56 and not (self._errors and facts.failed()):
            trace_id = facts.trace_id
            share = int(trace_id[18:], 16) if len(trace_id) == 32 else int(self._ids.digits(14), 16)
            if share >= self._limit:
                self.skipped += 1
                return
        self.written += 1
        self.outlet.add(self.encode(facts, headers))

    def close(self) -> None:
        """Hand over what has been gathered."""
        self.outlet.close()

    def encode(self, facts: "Facts", headers: "Headers | None") -> bytes:
        """Return a record with its newline, of at most 8 KiB."""
        method = facts.method
        host = facts.host
        path = facts.path
        query = facts.query
        peer = facts.peer
        reason = facts.reason
        note = facts.note
        if query:
            query = self._redaction.query(query)
        if (
            len(path) > PATH_BYTES
            or len(query) > QUERY_BYTES
            or len(host) > _HOST_BYTES
            or len(method) > _METHOD_BYTES
            or len(peer) > _PEER_BYTES
            or len(reason) > _REASON_BYTES
            or len(note) > _REASON_BYTES
            or not are_plain(method, host, path, query, peer, reason, note)
        ):
            method = quoted(method, _METHOD_BYTES)
            host = quoted(host, _HOST_BYTES)
            path = quoted(path, PATH_BYTES)
            query = quoted(query, QUERY_BYTES)
            peer = quoted(peer, _PEER_BYTES)
            reason = quoted(reason, _REASON_BYTES)
            note = quoted(note, _REASON_BYTES)
        key = (facts.direction, facts.listener, facts.route, facts.upstream, facts.endpoint)
        place = self._places.get(key)
        if place is None:
            place = self._place(key)
        # What is not there is left out, so that a record is no longer than it has to be.
        query = f',"query":"{query}"' if query else ""
        reason = f',"reason":"{reason}"' if reason else ""
        note = f',"note":"{note}"' if note else ""
        trace = (
            f',"trace_id":"{facts.trace_id}","span_id":"{facts.span_id}"' if facts.trace_id else ""
        )
        connect = f',"connect_ms":{millis(facts.connect_s)}' if facts.connect_s >= 0.0 else ""
        first = f',"first_ms":{millis(facts.first_s)}' if facts.first_s >= 0.0 else ""
        more = self._more(headers) if self._headers and headers is not None else ""
        line = (
            f'{{"time":"{self._wall.text(facts.time_ns)}"{place},"method":"{method}","host":"{host}"'
            f',"path":"{path}"{query},"version":"{facts.version}","status":{facts.status}{reason}'
            f',"attempts":{facts.attempts}{connect}{first},"total_ms":{millis(facts.total_s)}'
            f',"bytes_in":{facts.bytes_in},"bytes_out":{facts.bytes_out},"peer":"{peer}"{trace}{note}{more}}}\n'
        )
        return line.encode()

    def _place(self, key: tuple[str, str, str, str, str]) -> str:
        names = ("direction", "listener", "route", "upstream", "endpoint")
        pieces = [
            f',"{name}":"{quoted(value, _NAME_BYTES)}"'
            for name, value in zip(names, key, strict=True)
            if value
        ]
        place = "".join(pieces)
        if len(self._places) >= _MOST_PLACES:
            self._places.clear()
        self._places[key] = place
        return place

    def _more(self, headers: "Headers") -> str:
        pieces: list[str] = []
        left = _HEADERS_BYTES
        for name, shown, hidden in self._headers:
            value = headers.get(name)
            if value is None:
                continue
            text = value.decode("utf-8", "backslashreplace")
            piece = f'"{shown}":"{HIDDEN if hidden else quoted(text, _HEADER_BYTES)}"'
            left -= len(piece.encode()) + 1
            if left < 0:
                break
            pieces.append(piece)
        return f',"headers":{{{",".join(pieces)}}}' if pieces else ""


def millis(seconds: float) -> str:
    """Return seconds as milliseconds with three decimals; what is below zero is zero."""
    micros = int(seconds * 1e6 + 0.5) if seconds > 0.0 else 0
    return f"{micros // 1000}.{_THREE[micros % 1000]}"
