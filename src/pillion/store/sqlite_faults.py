"""What an error of SQLite means for the store: who is at fault, what to do, and whether the file can be used on.

SQLite tells no errno. Where the cause matters (a full disk, a file system that went read-only) it is asked for by a small
write of our own beside the file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from typing import TYPE_CHECKING, NamedTuple

from pillion.store.interface import (
    StoreFullError,
    StoreReadOnlyError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    import sqlite3

_PRIMARY = 0xFF
# sqlite3.h; the extended codes that Python names differ between its versions.
_FULL, _READONLY, _BUSY, _LOCKED, _PROTOCOL, _CORRUPT, _NOTADB, _IOERR, _CANTOPEN = (
    13,
    8,
    5,
    6,
    15,
    11,
    26,
    10,
    14,
)
_READONLY_DBMOVED = 8 | (4 << 8)

CREATE_REMEDY = "put the file back, or begin an empty one with `pillion store create`"
DAMAGED_REMEDY = "put a good copy in its place, or move it away and run `pillion store create`"


class Fault(NamedTuple):
    """`error` is what the caller gets; `usable` whether the open file can still be read."""

    error: StoreUnavailableError
    usable: bool


def missing(path: str) -> StoreUnavailableError:
    """The error of a file that is not there."""
    return StoreUnavailableError(f"cannot use the store {path}: no such file; {CREATE_REMEDY}")


def damaged(path: str, how: str) -> StoreUnavailableError:
    """The error of a file that is no good store."""
    return StoreUnavailableError(f"cannot use the store {path}: {how}; {DAMAGED_REMEDY}")


def read_only(path: str, why: str = "") -> StoreReadOnlyError:
    """The error of a file that can only be read."""
    said = f" ({why})" if why else ""
    return StoreReadOnlyError(
        f"cannot write to the store {path}: it is read-only{said}; "
        "make its file and directory writable for this user"
    )


def fault_of(error: sqlite3.Error | OSError, path: str, *, busy_s: float) -> Fault:
    """Tell what `error`, raised by using the store at `path`, means."""
    if isinstance(error, OSError):
        return _system_fault(error, path)
    code = getattr(error, "sqlite_errorcode", 1)
    primary = code & _PRIMARY
    if primary in (_BUSY, _LOCKED, _PROTOCOL):
        return Fault(
            StoreUnavailableError(
                f"cannot use the store {path}: another process has held it for {busy_s:g} s; "
                "see which with `fuser -v` on the file"
            ),
            usable=True,
        )
    if code == _READONLY_DBMOVED:
        return Fault(missing(path), usable=False)
    if primary == _FULL:
        return Fault(_full(path), usable=True)
    if primary == _READONLY:
        return _written_fault(path) or Fault(read_only(path), usable=True)
    if primary in (_CORRUPT, _NOTADB):
        return Fault(damaged(path, f"it is damaged ({error})"), usable=False)
    if primary in (_IOERR, _CANTOPEN):
        found = _written_fault(path)
        if found is not None:
            return found
        return Fault(
            StoreUnavailableError(f"cannot use the store {path}: {error}; look at the disk"),
            usable=False,
        )
    return Fault(damaged(path, f"{error}"), usable=False)


def _system_fault(error: OSError, path: str) -> Fault:
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return Fault(read_only(path, error.strerror or ""), usable=True)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Fault(_full(path), usable=True)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Fault(missing(path), usable=False)
    what = error.strerror or str(error)
    return Fault(
        StoreUnavailableError(f"cannot use the store {path}: {what}; look at the disk"),
        usable=False,
    )


def _written_fault(path: str) -> Fault | None:
    """What the file system says of a small write beside the store; None when it takes one."""
    name = f"{path}.{uuid.uuid4().hex}.probe"
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, bytes(4096))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return _system_fault(error, path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)
    return None


def _full(path: str) -> StoreFullError:
    return StoreFullError(f"cannot write to the store {path}: its disk is full; make room there")
