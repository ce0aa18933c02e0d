"""Whole files or none: what others read is replaced by rename, never written in place."""

from __future__ import annotations

import os


def write_atomically(path: str, data: bytes, *, mode: int = 0o600, durable: bool = False) -> None:
    """Replace the file at `path` by `data` with the permissions `mode`, so that a reader sees old or new.

    With `durable` the data and the rename have reached the disk when this returns, which may block for
    as long as the disk does: call it from a thread. Raises `OSError`; the old file then stands.
    """
    temporary = f"{path}.{os.getpid()}.new"
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        with open(descriptor, "wb", buffering=0) as file:
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
