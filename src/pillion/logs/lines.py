# ruff: noqa: ERA001 # the next line is for Cython
# cython: annotation_typing=False
"""Chunks to lines: the one place that knows where a record begins and ends, however the pipe was read.

The result does not depend on how the stream was cut into chunks (a property test holds it to that), so that
two readers of the same bytes produce the same records with the same offsets. Compiled by Cython when there is a
compiler (`lines.pxd` gives the types); the same source runs interpreted.
"""

from __future__ import annotations

from typing import TypeAlias

CAP_BYTES = 256 * 1024


class Line:
    """One line without its end: `data` as it was written, at `offset` of the stream; the next is at `end`.

    `time_ns` is the arrival of its first byte. `cut` marks a piece whose line goes on in the next record, or
    was broken off by a loss.
    """

    def __init__(self, offset: int, end: int, time_ns: int, data: bytes, cut: bool) -> None:
        self.offset = offset
        self.end = end
        self.time_ns = time_ns
        self.data = data
        self.cut = cut

    def __repr__(self) -> str:
        return f"Line({self.offset}, {self.end}, {self.time_ns}, {self.data!r}, {self.cut})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Line):
            return NotImplemented
        return (self.offset, self.end, self.time_ns, self.data, self.cut) == (
            other.offset,
            other.end,
            other.time_ns,
            other.data,
            other.cut,
        )

    def __hash__(self) -> int:
        return hash((self.offset, self.data))


class Loss:
    """Bytes `offset` to before `end` that no record holds: `lost` never reached us, `skipped` were passed over.

    Skipped are the rest of a line whose beginning is lost. `why` is one of the reasons in `logs.spool`.
    """

    def __init__(self, offset: int, end: int, time_ns: int, lost: int, why: str) -> None:
        self.offset = offset
        self.end = end
        self.time_ns = time_ns
        self.lost = lost
        self.why = why

    @property
    def skipped(self) -> int:
        """How many bytes were there, but belong to a line whose beginning is lost."""
        return self.end - self.offset - self.lost

    def __repr__(self) -> str:
        return f"Loss({self.offset}, {self.end}, {self.time_ns}, {self.lost}, {self.why!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Loss):
            return NotImplemented
        return (self.offset, self.end, self.time_ns, self.lost, self.why) == (
            other.offset,
            other.end,
            other.time_ns,
            other.lost,
            other.why,
        )

    def __hash__(self) -> int:
        return hash((self.offset, self.end))


Item: TypeAlias = "Line | Loss"


def _line(offset: int, end: int, time_ns: int, data: bytes, cut: bool) -> Line:
    """A `Line`, made without the arguments' becoming objects first."""
    line = Line.__new__(Line)
    line.offset = offset
    line.end = end
    line.time_ns = time_ns
    line.data = data
    line.cut = cut
    return line


class LineSplitter:
    """Lines of one stream, fed in order.

    A line longer than `cap_bytes` becomes pieces of at most that many bytes, all but the last marked as cut, never
    within a UTF-8 character. With `aligned` false the stream is entered somewhere, and what stands before
    the first newline is left out without being a loss.
    """

    def __init__(
        self, offset: int = 0, cap_bytes: int = CAP_BYTES, *, aligned: bool = True
    ) -> None:
        if cap_bytes < 8:
            raise ValueError("cannot cut lines below 8 bytes; set a larger cap")
        self._cap = cap_bytes
        self._next = offset
        self._pending = bytearray()
        self._pending_time = 0
        self._entering = not aligned
        self._loss: Loss | None = None

    @property
    def position(self) -> int:
        """The offset from which a new splitter has to be fed so that nothing is missing."""
        if self._loss is not None:
            return self._loss.offset
        return self._next - len(self._pending)

    @property
    def pending_bytes(self) -> int:
        """How many bytes of an unfinished line are held."""
        return len(self._pending)

    def feed(self, time_ns: int, payload: bytes) -> list[Item]:
        """Return the lines that the next `payload` of the stream completes."""
        items: list[Item] = []
        if self._loss is not None or self._entering:
            payload = self._resume(payload, items)
        if not payload:
            return items
        offset = self._next
        self._next = offset + len(payload)
        cap = self._cap
        # One C call finds every newline and makes every line's bytes.
        parts = payload.split(b"\n")
        last = len(parts) - 1
        if self._pending:
            offset -= len(self._pending)
            self._pending += parts[0]
            if last == 0:
                if len(self._pending) > cap:
                    self._shorten_pending(items)
                return items
            first = bytes(self._pending)
            first_time = self._pending_time
            self._pending.clear()
        else:
            first = parts[0]
            first_time = time_ns
        for index in range(last):
            if index == 0:
                data, line_time = first, first_time
            else:
                data, line_time = parts[index], time_ns
            size = len(data)
            if size > cap:
                self._cut(offset, line_time, data, items)
            elif size and data[size - 1] == 13:
                items.append(_line(offset, offset + size + 1, line_time, data[: size - 1], False))
            else:
                items.append(_line(offset, offset + size + 1, line_time, data, False))
            offset += size + 1
        if last == 0 or parts[last]:
            self._pending += first if last == 0 else parts[last]
            self._pending_time = time_ns
            if len(self._pending) > cap:
                self._shorten_pending(items)
        return items

    def gap(self, end: int, time_ns: int, why: str) -> list[Item]:
        """Note that the stream goes on at `end`; return the line that the loss breaks off, if there is one.

        The loss itself is returned by a later `feed` or `finish`, when it is known where records begin again.
        """
        items = self._flush(cut=True)
        if self._loss is None:
            self._loss = Loss(self._next, end, time_ns, end - self._next, why)
            self._entering = False
        else:
            self._loss.lost += end - self._next
            self._loss.end = end
        self._next = end
        return items

    def finish(self) -> list[Item]:
        """Return what is held: the stream has ended, and with it the last line."""
        items = self._flush(cut=False)
        if self._loss is not None:
            items.append(self._loss)
            self._loss = None
        return items

    def _flush(self, cut: bool) -> list[Item]:
        items: list[Item] = []
        if self._pending:
            data = bytes(self._pending)
            self._pending.clear()
            items.append(_line(self._next - len(data), self._next, self._pending_time, data, cut))
        return items

    def _resume(self, payload: bytes, items: list[Item]) -> bytes:
        """Pass over the rest of a line whose beginning is missing; return what follows it."""
        at = payload.find(b"\n") + 1
        loss = self._loss
        room = self._cap if loss is None else max(0, self._cap - loss.skipped)
        if at == 0 or at > room:
            # Bounded: output without newlines is taken up again after as much as one record may hold.
            at = min(len(payload), room)
            found = at == room
        else:
            found = True
        self._next += at
        if loss is not None:
            loss.end = self._next
        if found:
            if loss is not None:
                items.append(loss)
            self._loss = None
            self._entering = False
        return payload[at:]

    def _shorten_pending(self, items: list[Item]) -> None:
        data = bytes(self._pending)
        offset = self._next - len(data)
        while len(data) > self._cap:
            at = _cut_before(data, self._cap)
            items.append(_line(offset, offset + at, self._pending_time, data[:at], True))
            offset += at
            data = data[at:]
        self._pending.clear()
        self._pending += data

    def _cut(self, offset: int, time_ns: int, data: bytes, items: list[Item]) -> None:
        end = offset + len(data) + 1
        while len(data) > self._cap:
            at = _cut_before(data, self._cap)
            items.append(_line(offset, offset + at, time_ns, data[:at], True))
            offset += at
            data = data[at:]
        if data.endswith(b"\r"):
            data = data[:-1]
        items.append(_line(offset, end, time_ns, data, False))


def _cut_before(data: bytes, cap: int) -> int:
    """The place at or at most 3 bytes before `cap` where no UTF-8 character is cut."""
    at = cap
    while at > cap - 4 and data[at] & 0xC0 == 0x80:
        at -= 1
    return at if data[at] & 0xC0 != 0x80 else cap
