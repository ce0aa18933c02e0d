"""What is about to be done to a proxy's files, written down before it is begun, so that whoever comes after a killed agent ends at one of two versions.

    candidate/ complete      intent.json    applied.json   who comes next
    -----------------------  -------------  -------------  -----------------------------------------------------------
    being written            -              of the last    removes the candidate
    while files are moved    is there       of the last    moves the rest: the new version, still to be loaded and proved
    moved, not proved        is there       of the last    loads and proves it
    proved                   renamed to applied.json       removes what is left over

    while files are moved    renamed to     of the last    moves the rest back: the last version
    back                     return.json
    moved back               removed        of the last    removes what is left over

Each change of state is one rename or unlink, which takes no room: a full disk cannot stop what has begun, in either direction.
"""

from __future__ import annotations

import contextlib
import os

import msgspec

from pillion.base.files import write_atomically

_BYTES = 1 << 20


class Intent(msgspec.Struct, frozen=True):
    """A version on its way from `candidate` to the served directory, or, as `applied.json`, one that has arrived.

    `digests` are its files, `before` those that were there under the same names or are `dropped` with it (SHA-256 by name), whose only other names are
    in `kept`. `at_s` is seconds since the epoch. `candidate` and `kept` are directories.
    """

    version: str
    previous: str
    main: str
    digests: dict[str, str]
    before: dict[str, str]
    dropped: tuple[str, ...]
    candidate: str
    kept: str
    at_s: float
    v: int = 1

    @property
    def order(self) -> tuple[str, ...]:
        """The files in the order in which they are moved: the main one last, since it names the others."""
        return (*sorted(name for name in self.digests if name != self.main), self.main)


def read_intent(path: str) -> Intent | None:
    """The intent at `path`; None when there is none. One that cannot be read as such is put aside as `….damaged`, and None.

    Blocks; raises `OSError` when the disk does not answer.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_BYTES)
    except FileNotFoundError:
        return None
    try:
        found = msgspec.json.decode(data, type=Intent)
    except (msgspec.DecodeError, UnicodeDecodeError):
        os.replace(path, f"{path}.damaged")
        return None
    if found.v != 1:
        os.replace(path, f"{path}.damaged")
        return None
    return found


def write_intent(path: str, intent: Intent) -> None:
    """Have the intent reach the disk before anything is done. Blocks; raises `OSError`, and then there is none."""
    try:
        write_atomically(path, msgspec.json.encode(intent), durable=True)
    except OSError:
        # It may have its name already and not be known to the disk: what is not begun is not to be finished.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        raise
