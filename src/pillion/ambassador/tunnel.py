# cython: annotation_typing=False, auto_pickle=False
"""Two connections joined: bytes pass both ways as they are, for CONNECT, accepted upgrades and raw TCP.

Nothing is looked at, nothing is kept beyond what the slower side has not taken yet, and no timer is touched by a byte: one
sweep for all tunnels of one idle time sees which have been silent, and there is none while there is no tunnel.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import cast

from .transports import keep_alive, reset_on_close, write_sealed
from .tunnels import CUT, EOF, IDLE, RESET, SWEEPS, RelayEnd, Tunnels

__all__ = ["CUT", "EOF", "IDLE", "RESET", "Held", "Relay", "RelayEnd", "Tunnels"]

HIGH_BYTES = 256 * 1024
"""What may wait for a side before the other is read no more."""
LOW_BYTES = 64 * 1024
PATIENT_S = 120.0
"""A tunnel that may be silent for longer has the kernel see whether its ends are still there."""


class Relay:
    """Joins two connected transports, whose protocols it replaces, until both are over; then calls `ended` once.

    `first_a` are bytes that were already read from a (they go to b), `finished_a` says that a's end of file was, too;
    `first_b` and `finished_b` the other way; of a `Held` that is known. With `idle_s` (0: never) a tunnel without a byte in either direction is cut
    after at least that and at most 1.25 times that.

    An end of file of one side is passed on as a half-close where the transport can (TCP, Unix), and the other direction goes on.
    TLS on uvloop cannot: after an end of file from or to a TLS side what is under way is flushed and both are closed.
    A side that is lost otherwise (reset, or TLS ended without close_notify) has the other reset, so that it sees the cut.
    """

    __slots__ = (
        "_a",
        "_b",
        "_ended",
        "_tunnels",
        "closing",
        "idle_s",
        "pending",
        "quiet",
        "side",
        "why",
    )

    def __init__(
        self,
        a_transport: asyncio.Transport,
        b_transport: asyncio.Transport,
        *,
        first_a: bytes = b"",
        first_b: bytes = b"",
        finished_a: bool = False,
        finished_b: bool = False,
        idle_s: float,
        ended: Callable[[RelayEnd], None],
        tunnels: Tunnels,
    ) -> None:
        self._ended: Callable[[RelayEnd], None] | None = ended
        self._tunnels = tunnels
        self.idle_s = idle_s
        self.quiet = 0
        """Sweeps since the last byte."""
        self.pending = 0
        """Bytes that waited for a side at the last sweep."""
        self.closing = False
        self.why = ""
        self.side = ""
        self._a = _Side(self, a_transport, "a")
        self._b = _Side(self, b_transport, "b")
        self._a.other = self._b
        self._b.other = self._a
        tunnels.joined(self)
        # The end of file is told to a protocol once, so that it must be asked for before ours takes its place.
        finished_a = finished_a or _had_finished(a_transport)
        finished_b = finished_b or _had_finished(b_transport)
        self._a.join()
        self._b.join()
        for side, first in ((self._a, first_a), (self._b, first_b)):
            if first and not side.other.transport.is_closing():
                side.data_received(first)
        if finished_a:
            self._a.eof_received()
        if finished_b:
            self._b.eof_received()
        for side in (self._a, self._b):
            if side.transport.is_closing():
                # It is over already, and its protocol of before may have been told instead of us.
                tunnels.soon(side.connection_lost, None)
            elif not side.held and not side.finished:
                side.transport.resume_reading()

    @property
    def bytes_ab(self) -> int:
        """Bytes from a to b so far."""
        return self._a.count

    @property
    def bytes_ba(self) -> int:
        """Bytes from b to a so far."""
        return self._b.count

    def cut(self, why: str = CUT) -> None:
        """End it now: what was not taken yet is lost, and both sides see a reset."""
        self._end(why, "")
        if self.why == EOF:
            self.why = why  # in order so far, but its last bytes are lost now
        for side in (self._a, self._b):
            side.abort()

    def finish(self) -> None:
        """Both directions are over: close what is flushed, and flush the rest, in bounded time."""
        self._end(EOF, "")
        for side in (self._a, self._b):
            if not side.lost:
                side.transport.close()

    def lost(self, side: "_Side", error: Exception | None) -> None:
        """One side is gone; unless both directions were over, that is a cut for the other one."""
        if not self.closing:
            self._end(RESET, side.name)
        elif error is not None and self.why == EOF:
            self.why = RESET  # while its last bytes were flushed
            self.side = side.name
        if not side.other.lost:
            if self.why == EOF:
                return  # it flushes
            side.other.abort()
        elif self._ended is not None:
            ended, self._ended = self._ended, None
            self._tunnels.over(self)
            ended(
                RelayEnd(self._a.count, self._b.count, self.why, self.side, self._b.first_s),
            )

    def half_closed(self, side: "_Side") -> None:
        """One side sends no more."""
        if side.other.finished or not side.keeps_half or not side.other.keeps_half:
            self.finish()
        elif not side.other.lost:
            side.other.transport.write_eof()

    def swept(self) -> None:
        """A quarter of the idle time is over: cut it when there were too many of them without a byte moved."""
        pending = self._a.waiting() + self._b.waiting()
        # A slow reader is told by what waits for it becoming less. The first sweep may come right after a byte.
        self.quiet = 1 if pending < self.pending else self.quiet + 1
        self.pending = pending
        if self.quiet > SWEEPS and (self.idle_s or self.closing):
            self.cut(IDLE)

    def _end(self, why: str, side: str) -> None:
        if not self.closing:
            self.closing = True
            self.why = why
            self.side = side
            self.quiet = 0


class _Side:
    """One of the two connections, as a protocol."""

    __slots__ = (
        "count",
        "finished",
        "first_s",
        "held",
        "keeps_half",
        "lost",
        "name",
        "other",
        "relay",
        "transport",
    )

    other: "_Side"

    def __init__(self, relay: Relay, transport: asyncio.Transport, name: str) -> None:
        self.relay = relay
        self.transport = transport
        self.name = name
        self.count = 0
        self.first_s = -1.0
        self.finished = False
        """Whether its end of file has come."""
        self.held = False
        """Whether it is not read, because the other one is slow."""
        self.lost = False
        self.keeps_half = transport.can_write_eof()

    def join(self) -> None:
        """Take the transport over from its protocol of before."""
        transport = self.transport
        # The methods count, not the class: a compiled one cannot be derived from asyncio's.
        transport.set_protocol(cast("asyncio.Protocol", self))
        if transport.is_closing():
            return
        if transport.get_write_buffer_size() > LOW_BYTES:
            # Whether it has told the one before to pause cannot be asked; now it has told somebody, and will tell us to resume.
            transport.set_write_buffer_limits(high=0)
            self.pause_writing()
        transport.set_write_buffer_limits(high=HIGH_BYTES, low=LOW_BYTES)
        if not 0.0 < self.relay.idle_s <= PATIENT_S:
            keep_alive(transport)

    def data_received(self, data: bytes) -> None:
        relay = self.relay
        if relay.closing:
            return  # the other one takes no more
        if not self.count:
            self.first_s = monotonic()
        self.count += len(data)
        relay.quiet = 0
        other = self.other
        if other.keeps_half:
            other.transport.write(data)
        else:
            write_sealed(other.transport, [data])

    def eof_received(self) -> bool:
        self.finished = True
        self.relay.quiet = 0
        if not self.relay.closing:
            self.relay.half_closed(self)
        return self.keeps_half

    def pause_writing(self) -> None:
        other = self.other
        if not other.held:
            other.held = True
            if not other.lost:
                other.transport.pause_reading()

    def resume_writing(self) -> None:
        other = self.other
        self.relay.quiet = 0
        if other.held:
            other.held = False
            if not other.lost and not other.finished:
                other.transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Nothing: it was made before."""

    def connection_lost(self, error: Exception | None) -> None:
        if not self.lost:
            self.lost = True
            self.relay.lost(self, error)

    def waiting(self) -> int:
        """Bytes that this side has not taken yet."""
        return 0 if self.lost else self.transport.get_write_buffer_size()

    def abort(self) -> None:
        if not self.lost:
            reset_on_close(self.transport)
            self.transport.abort()


class Held(asyncio.Protocol):
    """A connection whose tunnel is not there yet: what it says first is kept and no more is read.

    The end of file is kept, too, and the connection stays open: give `first` to the Relay. uvloop begins to read after
    `connection_made`, whatever that says, so that the first read (256 KiB at most) always has to be kept.
    """

    def __init__(self) -> None:
        self.first = b""
        self.finished = False
        self.lost = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Keep it, and leave the rest in the kernel."""
        self.first += data
        if self.transport is not None:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Keep that, and the other direction open."""
        self.finished = True
        return self.transport is not None and self.transport.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Keep that, too."""
        self.lost = True


def _had_finished(transport: asyncio.Transport) -> bool:
    held = transport.get_protocol()
    return isinstance(held, Held) and held.finished
