"""One input read in one way: all its messages as events that can be compared, and within the limits."""

import itertools
import zlib
from random import Random
from types import ModuleType
from typing import Any

SMALL = {"target_bytes": 64, "header_bytes": 192, "header_count": 6, "body_bytes": 64}
SMALL |= {"extension_bytes": 16, "trailer_bytes": 32}
START_LINE_BYTES = 64 + 8  # what an unfinished request may take beside target and header fields
STATUS_LINE_BYTES = 1024 + 8  # and an answer


class Reading:
    """What one way of feeding has shown: `events` merged, and how it ended."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.heads: list[Any] = []
        self.error: tuple[int, str] | None = None
        self.fed = 0
        self.left: object = None

    def same_as(self, other: "Reading") -> bool:
        """Return whether both mean the same. A refusal is a refusal, by whichever of two faults."""
        if self.error is None and other.error is None:
            return self.events == other.events and self.left == other.left
        if self.error is None or other.error is None:
            return False
        # How much of a body came out before it was refused depends on how it came in.
        ours, theirs = (
            [e for e in reading.events if not isinstance(e, bytes)] for reading in (self, other)
        )
        return ours == theirs

    def __repr__(self) -> str:
        return f"{self.events} {self.error or 'left: ' + repr(self.left)}"


class Way:
    """How a connection is read: whose side, and what the two bytes before an input decide."""

    def __init__(self, *, answers: bool, control: bytes) -> None:
        first, second = control
        self.answers = answers
        self.forwarded = first & 3
        self.hops = first >> 2 & 3
        self.underscores = (first >> 4) % 3
        self.single = bool(first & 0x80)
        self.limits = SMALL if first & 0x40 else {}
        self.tunnels = not second & 1
        self.method = ("GET", "GET", "CONNECT", "HEAD")[second & 3] if answers else ""
        self.upgrade = bool(second & 4)
        self.allow_close = not second & 16
        self.eof = bool(second & 8)

    def parser(self, codec: ModuleType, limits: dict[str, int]) -> Any:
        """Return a fresh parser."""
        if not self.answers:
            return codec.RequestParser(codec.Limits(**limits))
        parser = codec.ResponseParser(codec.Limits(**limits), allow_close=self.allow_close)
        parser.expect(self.method, upgrade=self.upgrade)
        return parser

    def read(
        self, codec: ModuleType, parts: list[bytes], limits: dict[str, int] | None = None
    ) -> Reading:
        """Feed `parts` and return what is read in them, message after message."""
        limits = self.limits if limits is None else limits
        parser = self.parser(codec, limits)
        bound = codec.Limits(**limits)
        most = bound.header_bytes + STATUS_LINE_BYTES
        if not self.answers:
            most = bound.header_bytes + bound.target_bytes + START_LINE_BYTES
        reading = Reading()
        tunnel = False
        try:
            for part in [*parts, None] if self.eof else parts:
                if part is None:
                    parser.receive_eof()
                else:
                    reading.fed += len(part)
                    parser.receive(part)
                while not tunnel:
                    event = parser.next_event()
                    if event is codec.NEED_DATA or (event is codec.PAUSED and parser.closed):
                        assert parser.buffered <= most, f"keeps {parser.buffered} of {most} bytes"
                        break
                    if event is codec.PAUSED:
                        tunnel = self._go_on(parser, reading)
                    else:
                        _note(codec, reading, event)
            rest = parser.take_rest() if tunnel else parser.buffered
            reading.left = (parser.closed, parser.between_messages, rest)
        except codec.CodecError as error:
            reading.error = (error.status, error.reason)
        if reading.error is not None:
            status, reason = reading.error
            assert reason.startswith("cannot "), reason
            assert 400 <= status < 600, status
            assert not parser.buffered, "a connection that has failed holds on to bytes"
        _check_limits(reading, bound)
        return reading

    def _go_on(self, parser: Any, reading: Reading) -> bool:
        """Leave the pause; return whether what follows is HTTP no longer."""
        head = reading.heads[-1]
        if self.answers:
            if head.tunnel:
                return True
            parser.next_message()
            parser.expect(self.method, upgrade=self.upgrade)
            return False
        if self.tunnels and (head.method == "CONNECT" or head.upgrade is not None):
            parser.tunnel()
            return True
        parser.next_message()
        return False


def _note(codec: ModuleType, reading: Reading, event: Any) -> None:
    events = reading.events
    if isinstance(event, bytes):
        assert event, "empty body data"
        if isinstance(events[-1], bytes):
            events[-1] += event
        else:
            events.append(event)
    elif isinstance(event, codec.End):
        events.append(("end", tuple(event.trailers.items)))
    else:
        reading.heads.append(event)
        names = sorted(name for name in type(event).__slots__ if name != "headers")
        said = {name: getattr(event, name) for name in names}
        events.append(("head", tuple(event.headers.items), said))


def _check_limits(reading: Reading, limits: Any) -> None:
    """Hold what came out to the limits, by its least size on the wire."""
    for event in reading.events:
        if isinstance(event, bytes):
            assert len(event) <= limits.body_bytes, f"a body of {len(event)} bytes"
            continue
        fields = event[1]
        most = limits.trailer_bytes if event[0] == "end" else limits.header_bytes
        size = sum(len(name) + len(value) + 3 for name, value in fields)
        assert size <= most, f"{size} bytes of fields"
        assert len(fields) <= limits.header_count, f"{len(fields)} fields"
    for head in reading.heads:
        assert len(getattr(head, "target", "")) <= limits.target_bytes, f"target {head.target}"


def pieces(data: bytes, cuts: int) -> list[bytes]:
    """Split `data` at random places, the same ones whenever it comes; no piece is empty."""
    random = Random(zlib.crc32(data) + cuts)
    edges = sorted({0, len(data), *random.choices(range(len(data) + 1), k=cuts)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def single(data: bytes) -> list[bytes]:
    """Split `data` into its bytes."""
    return [data[i : i + 1] for i in range(len(data))]
