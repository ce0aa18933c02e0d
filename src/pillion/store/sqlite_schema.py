"""The tables of a store file, and how one comes to be: whole or not at all, however often its making is killed.

`changes` is the truth: one row per write, numbered by the revision. `entries` points at the newest change of each key
that is there, so that a value is written once. Each change carries two running sums, which makes the revision, the quota
and the length of the history known from the newest row alone, without a counter that every write would have to write as well.
The newest row is therefore never deleted.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import uuid

from pillion.base.percent import percent_encoded

APPLICATION_ID = 0x50494C4C
"""`PILL`, in the file's header: this is a store of Pillion."""
VERSION = 1
"""`user_version` in the file's header."""
MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100

_SCHEMA = f"""
PRAGMA page_size = 4096;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
CREATE TABLE meta (
    name TEXT PRIMARY KEY,          -- store, created, compacted, probe
    value ANY
) STRICT, WITHOUT ROWID;
CREATE TABLE changes (
    revision INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    created INTEGER NOT NULL,       -- the revision of the first write since the key was absent
    time_ns INTEGER NOT NULL,       -- since the epoch
    writer TEXT NOT NULL,
    lease TEXT,
    live_bytes INTEGER NOT NULL,    -- keys and values that are there after this change
    total_bytes INTEGER NOT NULL,   -- of all changes ever, this one included
    value BLOB                      -- NULL: deleted. Last, since what follows a long value costs a walk along it
) STRICT;
CREATE INDEX changes_of_key ON changes (key, revision);
CREATE TABLE entries (
    key TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    lease TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX entries_of_lease ON entries (lease) WHERE lease IS NOT NULL;
CREATE TABLE leases (
    id TEXT PRIMARY KEY,
    instance TEXT NOT NULL,         -- the session that it was granted to
    run TEXT NOT NULL,
    realm TEXT NOT NULL,            -- where that session can be asked for
    ttl_s REAL NOT NULL,
    engine TEXT NOT NULL            -- which engine of the session watches its time
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_of_session ON leases (instance, run);
"""
_ABANDONED_S = 3600.0


def create_file(path: str) -> bool:
    """Make an empty store at `path`, with its directory; False when there was a file already. Raises `OSError`, `sqlite3.Error`.

    It is made under another name and linked into place, so that whoever sees it sees it whole, and one of several wins.
    """
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    if os.path.lexists(path):
        return False
    _remove_abandoned(directory, os.path.basename(path))
    temporary = f"{path}.{uuid.uuid4().hex}.new"
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        _fill(temporary)
        _sync(temporary, os.O_RDONLY)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
    finally:
        for name in (temporary, f"{temporary}-wal", f"{temporary}-shm", f"{temporary}-journal"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
    _sync(directory, os.O_RDONLY | os.O_DIRECTORY)
    return True


def file_uri(path: str, options: str) -> str:
    """The URI under which SQLite opens `path` with `options`."""
    return f"file:{percent_encoded(path, b'/')}?{options}"


def _fill(path: str) -> None:
    with contextlib.closing(
        sqlite3.connect(file_uri(path, "mode=rw"), uri=True, isolation_level=None)
    ) as db:
        # Nobody sees it before it is whole, and then it is synced once: sixty waits for the disk would be in the way of
        # the first app that starts on a host.
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA journal_mode = MEMORY")
        db.executescript(f"BEGIN; {_SCHEMA}")
        db.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [
                ("store", str(uuid.uuid4())),
                ("created", time.time_ns()),
                ("compacted", 0),
                ("probe", 0),
            ],
        )
        db.execute("COMMIT")
        (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise sqlite3.OperationalError(
                f"the file system allows no write-ahead log, only {mode}"
            )


def _remove_abandoned(directory: str, name: str) -> None:
    """Remove what killed makers have left behind."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if not (entry.name.startswith(f"{name}.") and ".new" in entry.name):
                continue
            with contextlib.suppress(FileNotFoundError):
                if time.time() - entry.stat().st_mtime > _ABANDONED_S:
                    os.unlink(entry.path)


def _sync(path: str, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
