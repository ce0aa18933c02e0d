"""One secret's value, read at the moment it is asked for: bounded, whole, and from a regular file alone."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import msgspec

from pillion.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.secrets.catalogue import Place

VALUE_BYTES = 1 << 20
# A writer that replaces the content in place is met half-way at most this often.
_ATTEMPTS = 5

Signature = tuple[int, ...]


class Value(msgspec.Struct, frozen=True):
    """What a secret is now. It has no text form, so that no log or traceback shows it.

    `changed_s` is seconds since the epoch, None where nobody knows.
    """

    data: bytes
    changed_s: float | None

    def __repr__(self) -> str:
        return f"Value({len(self.data)} bytes, changed_s={self.changed_s})"


class AbsentError(RefusedError):
    """The settings name it, and it is not there."""

    def __init__(self, place: Place) -> None:
        super().__init__(
            404,
            "Secret Not Present",
            f"cannot read the secret {place.name}: {place.where} is not there; "
            "mount it, or correct [secrets]",
        )


class UnusableError(RefusedError):
    """It is there, and cannot be taken."""

    def __init__(self, place: Place, why: str) -> None:
        super().__init__(
            503, "Secret Not Usable", f"cannot read the secret {place.name}: {place.where} {why}"
        )


def read_value(place: Place, variable: Callable[[str], bytes | None]) -> Value:
    """The value now; `variable` gives that of an environment variable. May wait for a disk: call it from a thread.

    Raises `AbsentError` and `UnusableError`, which name the place and never the content.
    """
    if place.variable is not None:
        data = variable(place.variable)
        if data is None:
            raise AbsentError(place)
        if len(data) > VALUE_BYTES:
            raise UnusableError(place, f"holds more than {VALUE_BYTES} bytes")
        return Value(data, None)
    if not place.path:
        raise AbsentError(place)
    try:
        for _ in range(_ATTEMPTS):
            value = _read(place, place.path)
            if value is not None:
                return value
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AbsentError(place) from error
    except OSError as error:
        raise UnusableError(
            place, f"cannot be read ({error.strerror}); is it the sidecar's to read?"
        ) from error
    raise UnusableError(place, "changes while it is read; write it beside, and rename it")


def _read(place: Place, path: str) -> Value | None:
    """The whole file, None when it changed under our hands."""
    # Without O_NONBLOCK the opening of a pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise UnusableError(place, "is not a regular file")
        if before.st_size > VALUE_BYTES:
            raise UnusableError(place, f"holds more than {VALUE_BYTES} bytes")
        parts = []
        size = 0
        while size <= VALUE_BYTES and (part := os.read(descriptor, VALUE_BYTES + 1 - size)):
            parts.append(part)
            size += len(part)
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if size > VALUE_BYTES:
        raise UnusableError(place, f"holds more than {VALUE_BYTES} bytes")
    # The size that stat tells is not to be relied on everywhere (proc, some FUSE), but when it is told it must fit.
    if _signature(before) != _signature(after) or (after.st_size and size != after.st_size):
        return None
    return Value(b"".join(parts), after.st_mtime)


def signature(path: str) -> Signature | None:
    """What changes whenever the file at `path` does, without its content; None when it is not there."""
    try:
        return _signature(os.stat(path))
    except OSError:
        return None


def _signature(facts: os.stat_result) -> Signature:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
