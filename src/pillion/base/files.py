"""Whole files or none: what others read is replaced by rename, never written in place."""

from __future__ import annotations

import contextlib
import os


def write_atomically(
    path: str,
    data: bytes,
    *,
    mode: int = 0o600,
    owner: tuple[int, int] | None = None,
    durable: bool = False,
) -> None:
    """Replace the file at `path` by `data` with the permissions `mode`, so that a reader sees old or new.

    `owner` is the user and group that it is given to. With `durable` the data and the rename have reached the disk when this returns, which may block for
    as long as the disk does: call it from a thread. Raises `OSError`; the old file then stands.
    """
    temporary = f"{path}.{os.getpid()}.new"
    # Never into a file that somebody else has put there and may hold open.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb", buffering=0) as file:
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            if durable:
                os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    if durable:
        _sync_directory(os.path.dirname(path) or ".")


def _sync_directory(path: str) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
