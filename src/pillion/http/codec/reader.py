# cython: annotation_typing=False, auto_pickle=False
"""What both parsers share: the buffer, the states, and everything after the head.

    state      on                        then
    HEAD       a complete head           BODY_*, or END when there is no body
    LENGTH     the counted bytes         END
    CHUNK      a chunk line              CHUNK_DATA, or TRAILERS after the last one
    CHUNK_DATA the chunk's bytes, CRLF   CHUNK
    TRAILERS   the empty line            END
    UNTIL_EOF  the end of the stream     END (answers only)
    END        next_event                PAUSED; `next_message()` leads back to HEAD
    TUNNEL     101, or 2xx to CONNECT    PAUSED for ever; `take_rest()` gives what followed
    FAILED     next_event                the same error again

Only unread bytes are kept. Whoever feeds decides how much that may be: stop feeding while the
parser is paused.
"""

from .events import (
    CHUNKED,
    CLOSE,
    END,
    NEED_DATA,
    PAUSED,
    CodecError,
    End,
    Limits,
    RequestHead,
    ResponseHead,
    Signal,
)
from .grammar import CHUNK_LINE, CHUNK_SIZE_BYTES, STRAY, TEXT
from .head import read_fields

_HEAD = 0
_LENGTH = 1
_CHUNK = 2
_CHUNK_DATA = 3
_CHUNK_END = 4
_TRAILERS = 5
_UNTIL_EOF = 6
_END = 7
_PAUSED = 8
_TUNNEL = 9
_FAILED = 10
_CLOSED = 11


class MessageReader:
    """Bytes in, events out, paused after every message; a role adds how heads are read."""

    __slots__ = (
        "_data",
        "_eof",
        "_error",
        "_extension_bytes",
        "_header_bytes",
        "_header_count",
        "_left",
        "_limits",
        "_pending",
        "_pos",
        "_room",
        "_seen",
        "_state",
        "_target_bytes",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # Those that every head is held to.
        self._target_bytes = limits.target_bytes
        self._header_bytes = limits.header_bytes
        self._header_count = limits.header_count
        self._data = b""
        self._pos = 0
        self._pending = bytearray()  # everything unread, while something is incomplete
        self._seen = 0  # how much of it has been searched
        self._state = _HEAD
        self._left = 0  # of the counted body or the chunk
        self._room = 0  # what the body limit still allows
        self._extension_bytes = 0
        self._eof = False
        self._error: CodecError | None = None

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer. Nothing is parsed before `next_event`."""
        if self._pending:
            self._pending += data
        elif self._pos == len(self._data):
            self._data = data
            self._pos = 0
        else:
            self._pending += self._data[self._pos :]
            self._pending += data
            self._data = b""
            self._pos = 0
            self._seen = 0

    def receive_eof(self) -> None:
        """Take note that the peer will send nothing more."""
        self._eof = True

    @property
    def buffered(self) -> int:
        """The number of bytes received and not yet given out."""
        return self.unread()

    def unread(self) -> int:
        """Return what `buffered` is; compiled a call of C."""
        return len(self._data) - self._pos + len(self._pending)

    @property
    def between_messages(self) -> bool:
        """Whether no byte of an unfinished message has been received."""
        return self._state == _HEAD and not self.buffered

    @property
    def closed(self) -> bool:
        """Whether the stream has ended between two messages, as it should."""
        return self._state == _CLOSED

    def take_rest(self) -> bytes:
        """Give out everything unread, for a connection that is HTTP no longer."""
        self._merge()
        rest = self._data[self._pos :]
        self._data = b""
        self._pos = 0
        return rest

    def next_message(self) -> None:
        """Leave the pause after a complete message, and go on to the next."""
        if not self._complete():
            raise RuntimeError("cannot go on to the next message: this one is not complete")
        self._state = _HEAD

    def next_event(self) -> "RequestHead | ResponseHead | bytes | End | Signal":
        """Return the next part of the message: head, body data, end; or NEED_DATA, or PAUSED.

        Raise CodecError, with the status that a server answers; the connection is then of no
        further use, and the error stays.
        """
        try:
            if self._state == _HEAD:
                if self._pos == len(self._data) and not self._pending:
                    self._data = b""  # an idle connection holds on to nothing
                    self._pos = 0
                    if not self._eof:
                        return NEED_DATA
                    self._state = _CLOSED
                    return PAUSED
                return self._read_head()
            if self._state == _CLOSED:
                return PAUSED
            if self._state == _FAILED:
                assert self._error is not None
                raise self._error
            return self._next_body()
        except CodecError as error:
            raise self._fail(error) from None

    def _read_head(self) -> "RequestHead | ResponseHead | Signal":
        raise NotImplementedError

    def _complete(self) -> bool:
        """Return whether the message has been read to its end."""
        return self._state in (_PAUSED, _END)

    def _begin_tunnel(self) -> None:
        self._state = _TUNNEL

    def _merge(self) -> None:
        if self._pending:
            self._data = self._data[self._pos :] + bytes(self._pending)
            self._pos = 0
            self._pending = bytearray()
            self._seen = 0

    def _fail(self, error: CodecError) -> CodecError:
        self._state = _FAILED
        self._error = error
        self._data = b""
        self._pos = 0
        self._pending = bytearray()
        return error

    def _section(self, terminator: bytes) -> int:
        """Return where the next `terminator` begins, or -1: then `_seen` bytes wait for it."""
        if not self._pending:
            found = self._data.find(terminator, self._pos)
            if found >= 0:
                return found
            self._pending += self._data[self._pos :]
            self._data = b""
            self._pos = 0
            self._seen = 0
        found = self._pending.find(terminator, max(0, self._seen - len(terminator) + 1))
        if found >= 0:
            self._merge()
            return found
        # A bare line feed would be waited upon for ever: say so at once.
        if STRAY.search(self._pending, max(0, self._seen - 1)) is not None:
            raise CodecError(400, "cannot read the message: CR and LF not together")
        self._seen = len(self._pending)
        return -1

    def _begin_body(self, length: int) -> None:
        if length == 0:
            self._state = _END
        elif length == CHUNKED:
            self._room = self._limits.body_bytes
            self._extension_bytes = 0
            self._state = _CHUNK
        elif length == CLOSE:
            self._room = self._limits.body_bytes
            self._state = _UNTIL_EOF
        else:
            if length > self._limits.body_bytes:
                raise CodecError(413, "cannot read the message: its body is too large")
            self._left = length
            self._state = _LENGTH

    def _next_body(self) -> "bytes | End | Signal":
        while True:
            if self._state == _END:
                self._state = _PAUSED
                return END
            if self._state == _PAUSED or self._state == _TUNNEL:
                return PAUSED
            if self._pending and self._state != _TRAILERS:
                self._merge()
            available = len(self._data) - self._pos
            if self._state == _LENGTH or self._state == _CHUNK_DATA:
                if not available:
                    return self._starved()
                if available >= self._left:
                    data = self._data[self._pos : self._pos + self._left]
                    self._pos += self._left
                    self._left = 0
                    self._state = _END if self._state == _LENGTH else _CHUNK_END
                else:
                    data = self._data[self._pos :] if self._pos else self._data
                    self._pos += available
                    self._left -= available
                return data
            if self._state == _CHUNK_END:
                if available < 2:
                    if available and self._data[self._pos] != 13:
                        raise CodecError(400, "cannot read a chunk: it is longer than it says")
                    return self._starved()
                if self._data[self._pos : self._pos + 2] != b"\r\n":
                    raise CodecError(400, "cannot read a chunk: it is longer than it says")
                self._pos += 2
                self._state = _CHUNK
            elif self._state == _CHUNK:
                if not self._read_chunk_line():
                    return self._starved()
            elif self._state == _TRAILERS:
                return self._read_trailers()
            elif self._state == _UNTIL_EOF:
                return self._read_until_eof()
            else:
                raise RuntimeError("cannot read a body: there is none under way")

    def _starved(self) -> Signal:
        if self._eof:
            raise CodecError(400, "cannot read the message: the stream ended in the middle of it")
        return NEED_DATA

    def _read_chunk_line(self) -> bool:
        allowed = self._limits.extension_bytes - self._extension_bytes + CHUNK_SIZE_BYTES
        end = self._data.find(b"\r\n", self._pos, self._pos + allowed + 2)
        if end < 0:
            rest = self._data[self._pos : self._pos + allowed + 2]
            if len(rest) > allowed + 1:
                raise CodecError(400, "cannot read a chunk: its size line is too long")
            self._check_chunk_start(rest)
            return False
        match = CHUNK_LINE.fullmatch(self._data, self._pos, end)
        if match is None:
            raise CodecError(400, "cannot read a chunk: invalid size or extension")
        self._extension_bytes += len(match[2])
        if self._extension_bytes > self._limits.extension_bytes:
            raise CodecError(400, "cannot read the message: its chunk extensions are too long")
        size = int(match[1], 16)
        self._pos = end + 2
        if size == 0:
            self._state = _TRAILERS
            self._seen = 0
            return True
        self._room -= size
        if self._room < 0:
            raise CodecError(413, "cannot read the message: its body is too large")
        self._left = size
        self._state = _CHUNK_DATA
        return True

    def _check_chunk_start(self, rest: bytes) -> None:
        """Refuse the beginning of a chunk line that cannot become a right one."""
        stripped = rest[:-1] if rest.endswith(b"\r") else rest
        if stripped.translate(None, TEXT):
            raise CodecError(400, "cannot read a chunk: CR and LF not together")
        digits = stripped.partition(b";")[0]
        if digits.translate(None, b"0123456789abcdefABCDEF") or len(digits) > CHUNK_SIZE_BYTES:
            raise CodecError(400, "cannot read a chunk: invalid size or extension")

    def _read_trailers(self) -> "End | Signal":
        if not self._pending and self._data.startswith(b"\r\n", self._pos):
            self._pos += 2
            self._state = _PAUSED
            return END
        if self._pending.startswith(b"\r\n"):
            self._merge()
            self._pos += 2
            self._state = _PAUSED
            return END
        end = self._section(b"\r\n\r\n")
        size = self._seen - 4 if end < 0 else end + 2 - self._pos
        if size > self._limits.trailer_bytes:
            raise CodecError(431, "cannot read the message: its trailers are too large")
        if end < 0:
            return self._starved()
        trailers = read_fields(self._data, self._pos, end + 2, self._limits.header_count)
        for name in (b"content-length", b"transfer-encoding", b"host"):
            # RFC 9110 section 6.5.1: framing and routing never come late.
            if name in trailers:
                raise CodecError(400, f"cannot read the message: {name.decode()} as a trailer")
        self._pos = end + 4
        self._state = _PAUSED
        return End(trailers)

    def _read_until_eof(self) -> "bytes | End | Signal":
        data = self._data[self._pos :]
        if data:
            self._pos = len(self._data)
            self._room -= len(data)
            if self._room < 0:
                raise CodecError(413, "cannot read the message: its body is too large")
            return data
        if not self._eof:
            return NEED_DATA
        self._state = _PAUSED
        return END

    def _check_first_byte(self) -> None:
        first = self._pending[:1]
        if first and (first < b"!" or first > b"~"):
            raise CodecError(400, "cannot read the message: it does not begin like HTTP")
