"""What compiled code asks of C itself, and the same in Python.

This module is never compiled: `octets.pxd` beside it is what compiled modules take instead, each function being one of C.
"""

from time import monotonic


def copy(to: bytearray, at: int, piece: bytes, size: int) -> None:
    """Put the `size` bytes of `piece` at `at`, where there is room for them."""
    to[at : at + size] = piece


def is_ascii(text: str) -> bool:
    """Return whether a text is ASCII alone."""
    return text.isascii()


def of_latin(text: str) -> bytes:
    """Return the bytes of a text, one for each character. Raise ValueError for one with a character above 255."""
    return text.encode("latin-1")


def same(data: bytes, at: int, piece: bytes, size: int) -> bool:
    """Return whether the `size` bytes of `piece` stand at `at`; there must be as many."""
    return data[at : at + size] == piece


def text_end(data: bytes, at: int, end: int) -> int:  # noqa: ARG001 - C looks at eight bytes at once
    """Return how far there is certainly nothing but printable ASCII or bytes above it: `at`, or further on."""
    return at


def whole(number: float) -> int:
    """Return a number without what is behind its point; compiled it must fit into 64 bits."""
    return int(number)


def now() -> float:
    """Return the seconds of the monotonic clock, as `time.monotonic` and uvloop have it."""
    return monotonic()
