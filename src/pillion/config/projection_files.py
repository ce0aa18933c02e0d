"""Files as the configuration wants them, on the disk: looked at, then replaced as a whole or left alone."""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from pillion.base.files import write_atomically

PRIVATE = 0o600


class Owner(NamedTuple):
    """To whom a file is given."""

    uid: int
    gid: int


def differs(path: str, data: bytes) -> bool:
    """Whether what is at `path` is no file that holds just `data`. Raises `OSError` when that cannot be seen."""
    try:
        # A pipe would keep whoever opens it waiting for the other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return True  # a link or a socket: replaced by a file
        raise
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return True
        return file.read(len(data) + 1) != data


def replace(path: str, data: bytes, mode: int | None, owner: Owner | None) -> None:
    """Put `data` in the place of the file, for its owner alone unless `mode` says otherwise. Raises `OSError`; nothing has changed then.

    The directory must be there: which one it is, and whose, is the user's decision.
    """
    write_atomically(path, data, mode=PRIVATE if mode is None else mode, owner=owner)


def correct(path: str, mode: int | None, owner: Owner | None) -> None:
    """Give a file whose content is right the mode and owner that it should have, and touch nothing when it has. Raises `OSError`."""
    wanted = PRIVATE if mode is None else mode
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        found = os.fstat(descriptor)
        if owner is not None and (found.st_uid, found.st_gid) != owner:
            os.fchown(descriptor, *owner)
        if stat.S_IMODE(found.st_mode) != wanted:
            os.fchmod(descriptor, wanted)
    finally:
        os.close(descriptor)
