# cython: annotation_typing=False, auto_pickle=False
"""The request log: one JSON object a line for every request, written by hand because it is written for every request.

What stays the same between requests (names of route, upstream and endpoint) is kept as text; the rest is looked at once,
all together, for characters that need escaping, and only the rare text that has some goes the long way.
"""

from typing import TYPE_CHECKING

from pillion.http.codec import octets
from pillion.http.codec.block import Block

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

_PLACE = ("direction", "listener", "route", "upstream", "endpoint")
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
        "_last",
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
        self._places: dict[tuple[str, ...], Place] = {}
        self._last = Place(("", "", "", "", ""))
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
        outlet = self.outlet
        self._put(outlet.gathered, facts, headers)
        outlet.added()

    def close(self) -> None:
        """Hand over what has been gathered."""
        self.outlet.close()

    def encode(self, facts: "Facts", headers: "Headers | None") -> bytes:
        """Return a record with its newline, of at most 8 KiB."""
        block = Block()
        self._put(block, facts, headers)
        return block.take()

    def _put(self, block: Block, facts: "Facts", headers: "Headers | None") -> None:
        method = facts.method
        host = facts.host
        path = facts.path
        query = facts.query
        peer = facts.peer
        reason = facts.reason
        note = facts.note
        if query:
            query = self._redaction.query(query)
        plain = (
            len(path) <= PATH_BYTES
            and len(query) <= QUERY_BYTES
            and len(host) <= _HOST_BYTES
            and len(method) <= _METHOD_BYTES
            and len(peer) <= _PEER_BYTES
            and len(reason) <= _REASON_BYTES
            and len(note) <= _REASON_BYTES
            and are_plain(method, host, path, query, peer, reason, note)
        )
        if not plain:
            # What does not stand for itself is written as UTF-8, a byte for each of its characters here.
            method = _wide(method, _METHOD_BYTES)
            host = _wide(host, _HOST_BYTES)
            path = _wide(path, PATH_BYTES)
            query = _wide(query, QUERY_BYTES)
            peer = _wide(peer, _PEER_BYTES)
            reason = _wide(reason, _REASON_BYTES)
            note = _wide(note, _REASON_BYTES)
        place = self._last
        if not place.is_of(facts):
            place = self._place(facts)
        more = self._more(headers) if self._headers and headers is not None else b""
        block.put(b'{"time":"')
        self._wall.write(block, facts.time_ns)
        block.put(place.text)
        block.put_latin(method)
        block.put(b'","host":"')
        block.put_latin(host)
        block.put(b'","path":"')
        block.put_latin(path)
        # What is not there is left out, so that a record is no longer than it has to be.
        if query:
            block.put(b'","query":"')
            block.put_latin(query)
        block.put(b'","version":"')
        block.put_latin(facts.version)
        block.put(b'","status":')
        block.put_number(facts.status)
        if reason:
            block.put(b',"reason":"')
            block.put_latin(reason)
            block.put(b'"')
        block.put(b',"attempts":')
        block.put_number(facts.attempts)
        if facts.connect_s >= 0.0:
            block.put(b',"connect_ms":')
            put_millis(block, facts.connect_s)
        if facts.first_s >= 0.0:
            block.put(b',"first_ms":')
            put_millis(block, facts.first_s)
        block.put(b',"total_ms":')
        put_millis(block, facts.total_s)
        block.put(b',"bytes_in":')
        block.put_number(facts.bytes_in)
        block.put(b',"bytes_out":')
        block.put_number(facts.bytes_out)
        block.put(b',"peer":"')
        block.put_latin(peer)
        if facts.trace_id:
            block.put(b'","trace_id":"')
            block.put_latin(facts.trace_id)
            block.put(b'","span_id":"')
            block.put_latin(facts.span_id)
        if note:
            block.put(b'","note":"')
            block.put_latin(note)
        block.put(b'"')
        block.put(more)
        block.put(b"}\n")

    def _place(self, facts: "Facts") -> "Place":
        """Where the request came in and where it went, as it was written for the one before."""
        key = (facts.direction, facts.listener, facts.route, facts.upstream, facts.endpoint)
        place = self._places.get(key)
        if place is None:
            place = Place(key)
            if len(self._places) >= _MOST_PLACES:
                self._places.clear()
            self._places[key] = place
        self._last = place
        return place

    def _more(self, headers: "Headers") -> bytes:
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
        return f',"headers":{{{",".join(pieces)}}}'.encode() if pieces else b""


class Place:
    """What stays the same between requests: `text` is how it is written, up to the value of the method."""

    __slots__ = ("_direction", "_endpoint", "_listener", "_route", "_upstream", "text")

    def __init__(self, names: tuple[str, str, str, str, str]) -> None:
        self._direction, self._listener, self._route, self._upstream, self._endpoint = names
        pieces = [
            f',"{name}":"{quoted(value, _NAME_BYTES)}"'
            for name, value in zip(_PLACE, names, strict=True)
            if value
        ]
        self.text = f'"{"".join(pieces)},"method":"'.encode()

    def is_of(self, facts: "Facts") -> bool:
        """Whether this is where a request was: the very same names, for equal ones there is a table."""
        return (
            self._endpoint is facts.endpoint
            and self._upstream is facts.upstream
            and self._route is facts.route
            and self._listener is facts.listener
            and self._direction is facts.direction
        )


def put_millis(block: Block, seconds: float) -> None:
    """Write seconds as milliseconds with three decimals; what is below zero is zero."""
    micros = octets.whole(seconds * 1e6 + 0.5) if seconds > 0.0 else 0
    block.put_number(micros // 1000)
    block.put(b".")
    block.put_digits(micros % 1000, 3)


def millis(seconds: float) -> str:
    """Return what `put_millis` writes."""
    block = Block()
    put_millis(block, seconds)
    return block.take().decode("ascii")


def _wide(text: str, most_bytes: int) -> str:
    """Return a quoted text with a character for each of its bytes."""
    return quoted(text, most_bytes).encode().decode("latin-1")
