# cython: annotation_typing=False, auto_pickle=False
"""Bytes on their way out, put together in room that is used again: a head of forty pieces costs one allocation, and no list of them.

Interpreted, copying piece by piece would cost more than it saves; there pieces are gathered and joined.
"""

from types import FunctionType

from . import octets

_FIRST_BYTES = 4096
# More is given back, so that one large message does not occupy room for ever.
_KEPT_BYTES = 65536
_DIGITS = 20


class Block:
    """What was put into it, in that order. `size` is how much that is, in bytes."""

    __slots__ = ("_octets", "_pieces", "_room", "_space", "size")

    def __init__(self) -> None:
        self.size = 0
        self._pieces: list[bytes] = []
        self._space = bytearray()
        self._octets = self._space  # compiled a pointer to the space
        self._room = 0

    def put(self, piece: bytes) -> None:
        """Append bytes."""
        if not COMPILED:
            self._pieces.append(piece)
            self.size += len(piece)
            return
        size = len(piece)
        at = self.size
        if size > self._room - at:
            self._grow(size)
        octets.copy(self._octets, at, piece, size)
        self.size = at + size

    def put_part(self, data: bytes, first: int, last: int) -> None:
        """Append a part of bytes, as a slice has it."""
        if not COMPILED:
            self.put(data[first:last])
            return
        size = last - first
        at = self.size
        if size > self._room - at:
            self._grow(size)
        source = data
        octets.copy(self._octets, at, source + first, size)  # type: ignore[operator]  # a pointer by now
        self.size = at + size

    def put_ascii(self, text: str) -> None:
        """Append a text. Raise ValueError for one that is not ASCII."""
        if not octets.is_ascii(text):
            raise ValueError("cannot write a text that is not ASCII as it is")
        self.put_latin(text)

    def put_latin(self, text: str) -> None:
        """Append a text of which each character is one byte. Raise ValueError for another one."""
        if not COMPILED:
            self.put(text.encode("latin-1"))
            return
        size = len(text)
        at = self.size
        if size > self._room - at:
            self._grow(size)
        octets.copy(self._octets, at, octets.of_latin(text), size)
        self.size = at + size

    def put_number(self, number: int) -> None:
        """Append a number that is not below zero, in decimal digits."""
        if not COMPILED:
            self.put(b"%d" % number)
            return
        digits = 1
        rest = number
        while rest > 9:
            rest = rest // 10
            digits += 1
        self.put_digits(number, digits)

    def put_digits(self, number: int, digits: int) -> None:
        """Append a number that is not below zero and has at most so many digits, with zeros before it."""
        if not COMPILED:
            self.put(b"%0*d" % (digits, number))
            return
        if self._room - self.size < _DIGITS:
            self._grow(_DIGITS)
        to = self._octets
        first = self.size
        at = first + digits
        self.size = at
        while at > first:
            at -= 1
            to[at] = 48 + number % 10
            number = number // 10

    def take(self) -> bytes:
        """Return all of it, and leave nothing."""
        if not COMPILED:
            text = b"".join(self._pieces)
            self._pieces.clear()
            self.size = 0
            return text
        to = self._octets
        text = to[: self.size]  # type: ignore[assignment]  # a slice of a pointer is bytes
        self.clear()
        return text

    def clear(self) -> None:
        """Leave nothing."""
        self.size = 0
        if not COMPILED:
            self._pieces.clear()
        elif self._room > _KEPT_BYTES:
            self._space = bytearray()
            self._octets = self._space
            self._room = 0

    def _grow(self, size: int) -> None:
        """Make room for `size` bytes more."""
        room = max(self.size + size, 2 * self._room, _FIRST_BYTES)
        space = bytearray(room)
        space[: self.size] = self._space[: self.size]
        self._space = space
        self._octets = space
        self._room = room


COMPILED = not isinstance(Block.__init__, FunctionType)
