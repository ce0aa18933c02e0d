# cython: annotation_typing=False, auto_pickle=False
"""W3C Trace Context, level 1: a trace is continued or started, and told to the upstream with a span id of our own.

What cannot be read is never passed on: a wrong traceparent begins a new trace, and its tracestate goes with it.
"""

import os
import random
from types import FunctionType
from typing import TYPE_CHECKING

from pillion.http.codec.block import Block
from pillion.http.codec.names import TRACEPARENT, TRACESTATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.http.codec.events import Headers
    from pillion.settings.ambassador import Trace as TraceSettings

_FILL_BYTES = 1024
# So many digits come from one seed; a new one costs a system call.
_FILLS_PER_SEED = 1 << 10
# Section 3.3.1.5: at least 512 characters are to be passed on. More is a sender's mistake, and would be our cost.
STATE_BYTES = 4096
_STATE_MEMBERS = 32

_HEX = b"0123456789abcdef"
_hex_table = bytes(byte in _HEX for byte in range(256))
_NO_TRACE = b"0" * 32
_NO_SPAN = b"0" * 16


class Trace:
    """The trace context of one request.

    `trace_id` has 32 and `span_id` 16 hexadecimal digits; without a span id nothing is written. What is written are the header
    lines for the upstream; the request's own traceparent and tracestate are not to be sent beside.
    """

    __slots__ = ("_parent", "_state", "sampled", "span_id", "trace_id")

    def __init__(
        self, trace_id: str, span_id: str, sampled: bool, parent: "bytes | None", state: bytes
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.sampled = sampled
        self._parent = parent
        self._state = state

    @property
    def parent_id(self) -> str:
        """The caller's span, or empty."""
        return "" if self._parent is None else self._parent[36:52].decode("ascii")

    @property
    def lines(self) -> bytes:
        """What `write` writes."""
        block = Block()
        self.write(block)
        return block.take()

    def write(self, block: Block) -> None:
        """Write traceparent and tracestate, each with its end of line."""
        if not self.span_id:
            return
        block.put(b"traceparent: 00-")
        block.put_ascii(self.trace_id)
        block.put(b"-")
        block.put_ascii(self.span_id)
        block.put(b"-01\r\n" if self.sampled else b"-00\r\n")
        if self._state:
            block.put(b"tracestate: ")
            block.put(self._state)
            block.put(b"\r\n")


class Ids:
    """Random ids, cut from the digits of a generator that is seeded anew from the system every so often."""

    __slots__ = ("_at", "_digits", "_entropy", "_left", "_random")

    def __init__(self, entropy: "Callable[[int], bytes]" = os.urandom) -> None:
        self._entropy = entropy
        self._random = random.Random(0)
        self._left = 0
        self._digits = ""
        self._at = 0

    def digits(self, count: int) -> str:
        """Return so many hexadecimal digits that are not all zero (sections 3.2.2.3 and 3.2.2.4)."""
        at = self._at
        if at + count > len(self._digits):
            if self._left <= 0:
                self._random.seed(int.from_bytes(self._entropy(32), "big"))
                self._left = _FILLS_PER_SEED
            self._left -= 1
            # Little at a time: no request waits for the ids of a thousand others.
            self._digits = self._random.randbytes(_FILL_BYTES).hex()
            at = 0
        self._at = at + count
        found = self._digits[at : at + count]
        first = found[0]
        if first != "0" or found.strip("0"):
            return found
        return self.digits(count)

    def share(self) -> float:
        """Return a number in [0, 1)."""
        return int(self.digits(13), 16) / (1 << 52)


_ids = Ids()


def begin(headers: "Headers", settings: "TraceSettings", ids: "Ids | None" = None) -> Trace:
    """Return the trace context of a request with `headers`.

    Switched off, a trace that the caller has begun is told to the log, and nothing is written: its header fields pass
    as they came.
    """
    return begin_as(
        headers, settings.enabled, settings.sample if settings.enabled else 0.0, ids or _ids
    )


def begin_as(headers: "Headers", enabled: bool, share: float, ids: "Ids") -> Trace:
    """Do what `begin` does, with the settings' words told one by one."""
    parent = headers.known(TRACEPARENT)
    trace_id = ""
    sampled = False
    if parent is not None and not is_traceparent(parent):
        parent = None
    if parent is not None:
        octets = parent
        trace_id = octets[3:35].decode("ascii")
        # Other flags than this one are not known to version 00, and are sent as 0 (section 3.2.2.5.2): an odd digit.
        flags = octets[54]
        sampled = (flags if flags < 58 else flags - 87) % 2 == 1
    if not enabled:
        return _trace(trace_id, "", sampled, parent, b"")
    span_id = ids.digits(16)
    if parent is None:
        trace_id = ids.digits(32)
        sampled = share > 0.0 and ids.share() < share
        return _trace(trace_id, span_id, sampled, None, b"")
    state = headers.known(TRACESTATE)
    if state is None or not is_tracestate(state):
        state = b""
    return _trace(trace_id, span_id, sampled, parent, state)


def _trace(
    trace_id: str, span_id: str, sampled: bool, parent: "bytes | None", state: bytes
) -> Trace:
    """Return what `Trace` returns; compiled a call of C."""
    trace = Trace.__new__(Trace)
    trace.trace_id = trace_id
    trace.span_id = span_id
    trace.sampled = sampled
    trace._parent = parent
    trace._state = state
    return trace


def is_traceparent(value: bytes) -> bool:
    """Return whether this is a traceparent that can be continued (section 3.2).

    Of a version that is not known yet, its first 55 characters are read as those of version 00, and what follows
    has to begin with a dash (section 4.2, "Versioning of traceparent").
    """
    octets = value  # compiled a pointer
    size = len(value)
    if size < 55 or octets[2] != 45 or octets[35] != 45 or octets[52] != 45:
        return False
    version = octets[0:2]
    if version == b"00":
        if size != 55:
            return False
    elif version == b"ff" or (size > 55 and octets[55] != 45):
        return False
    if COMPILED:
        if not _is_hex(octets, 0, 2) or not _is_hex(octets, 53, 55):
            return False
        return _is_id(octets, 3, 35) and _is_id(octets, 36, 52)
    # Lower-case hexadecimal digits and nothing else: what remains without them is the three dashes.
    if value[:55].translate(None, _HEX) != b"---":
        return False
    return value[3:35] != _NO_TRACE and value[36:52] != _NO_SPAN


def _is_hex(octets: bytes, first: int, last: int) -> bool:
    table = _hex_table
    while first < last and table[octets[first]]:
        first += 1
    return first == last


def _is_id(octets: bytes, first: int, last: int) -> bool:
    """Whether there are digits that are not all zero."""
    if not _is_hex(octets, first, last):
        return False
    while first < last and octets[first] == 48:
        first += 1
    return first < last


def is_tracestate(value: bytes) -> bool:
    """Return whether a tracestate (several joined with commas) is passed on: within its limits (section 3.3.1).

    It is passed on as it came, since its members are their owners' business.
    """
    if not value or len(value) > STATE_BYTES:
        return False
    members = [one for one in value.split(b",") if one.strip(b" \t")]
    if not members or len(members) > _STATE_MEMBERS:
        return False
    return not [one for one in members if b"=" not in one]


COMPILED = not isinstance(is_traceparent, FunctionType)
