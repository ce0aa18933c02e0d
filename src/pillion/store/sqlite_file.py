"""One open store file, and the question asked before each use: is this still the file at its path, and still a store?

SQLite itself does not ask: it would go on reading and writing a file that was removed long ago. Everything here belongs to
one thread. The file is never opened a second time beside SQLite's own descriptor, since closing that one would drop the
locks that SQLite holds (fcntl(2)); to look at the header its descriptor is borrowed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from typing import NamedTuple

from pillion.store.interface import StoreUnavailableError
from pillion.store.place import refuse_network
from pillion.store.sqlite_faults import damaged, fault_of, missing
from pillion.store.sqlite_schema import (
    APPLICATION_ID,
    HEADER_BYTES,
    MAGIC,
    VERSION,
    create_file,
    file_uri,
)

BUSY_S = 5.0
"""Seconds that a write waits for another process's; a write takes well below one millisecond, so that this means trouble."""
# In the way of a write only when nobody had an idle moment for 4000 pages (16 MiB).
_LAST_CHECKPOINT_PAGES = 4000
_LOG_KEPT_BYTES = 8 << 20
_CACHED_STATEMENTS = 64
# A file that is opened for the first time is checked throughout only up to this size; one that was in doubt always.
_QUICK_CHECK_BYTES = 8 << 20

Identity = tuple[int, ...]


class Opened(NamedTuple):
    """Which store it is, and how far it has come."""

    store: str
    revision: int
    time_ns: int


class StoreFile:
    """The file at `path`; `sync` is SQLite's `synchronous` (`full`, `normal`)."""

    def __init__(self, path: str, *, sync: str, busy_s: float = BUSY_S) -> None:
        self.path = path
        self.read_only = False
        self.busy_s = busy_s
        self._sync = sync
        self._db: sqlite3.Connection | None = None
        self._descriptor = -1
        self._identity: Identity = ()
        self._size = 0
        self._changed_ns = 0
        self._suspect = False

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._db is not None

    @property
    def db(self) -> sqlite3.Connection:
        """The connection; only while it is open."""
        assert self._db is not None
        return self._db

    def create(self) -> bool:
        """Make an empty store when there is no file; False when there is one. Raises `StoreUnavailableError`."""
        directory = _existing(os.path.dirname(self.path))
        refuse_network(directory)
        try:
            return create_file(self.path)
        except (OSError, sqlite3.Error) as error:
            raise fault_of(error, self.path, busy_s=self.busy_s).error from error

    def open(self) -> Opened:
        """Open it and look whether it is good; raises `StoreUnavailableError` with culprit and remedy."""
        self.close()
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise fault_of(error, self.path, busy_s=self.busy_s).error from error
        refuse_network(os.path.dirname(self.path))
        try:
            opened = self._connect(found, "mode=rw")
        except (OSError, sqlite3.Error) as error:
            without = self._without_log(found)
            if without is None:
                self.distrust()
                raise fault_of(error, self.path, busy_s=self.busy_s).error from error
            opened = without
        except StoreUnavailableError:
            self.distrust()
            raise
        self._suspect = False
        return opened

    def check(self) -> None:
        """Raise `StoreUnavailableError`, and close, unless the open file is the one at the path and looks like a store."""
        try:
            now = os.stat(self.path)
            identity = self._identity_now(now)
        except OSError as error:
            self.distrust()
            raise fault_of(error, self.path, busy_s=self.busy_s).error from error
        if identity != self._identity:
            self.distrust()
            raise missing(self.path)
        if now.st_size < self._size:
            self.distrust()
            raise damaged(self.path, "it was truncated")
        if now.st_mtime_ns != self._changed_ns:
            # A checkpoint, or somebody who wrote over it.
            how = _header_fault(self._descriptor)
            if how:
                self.distrust()
                raise damaged(self.path, how)
            self._changed_ns, self._size = now.st_mtime_ns, now.st_size

    def close(self) -> None:
        """Give it back."""
        db, self._db = self._db, None
        self._descriptor = -1
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                db.close()

    def distrust(self) -> None:
        """Close it, and check it throughout when it is opened again."""
        self.close()
        self._suspect = True

    def fingerprint(self) -> Identity:
        """What would be different at the path if somebody had put another file there; empty when there is none."""
        try:
            found = os.stat(self.path)
        except OSError:
            return ()
        return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

    def _connect(self, found: os.stat_result, options: str) -> Opened:
        db = sqlite3.connect(
            file_uri(self.path, options),
            uri=True,
            timeout=self.busy_s,
            isolation_level=None,
            cached_statements=_CACHED_STATEMENTS,
        )
        self._db = db
        self._descriptor = _descriptor_of(found)
        how = _header_fault(self._descriptor)
        if how:
            raise damaged(self.path, how)
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        self.read_only = flags & os.O_ACCMODE == os.O_RDONLY
        if not self.read_only and db.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            # A copy that was made by other means.
            db.execute("PRAGMA journal_mode = WAL").fetchone()
        db.execute(f"PRAGMA synchronous = {self._sync}")
        db.execute(f"PRAGMA wal_autocheckpoint = {_LAST_CHECKPOINT_PAGES}")
        db.execute(f"PRAGMA journal_size_limit = {_LOG_KEPT_BYTES}")
        if self._suspect or found.st_size <= _QUICK_CHECK_BYTES:
            (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise damaged(self.path, f"it is damaged ({verdict})")
        opened = _opened(db)
        # Only now the log and its index are there as well.
        after = os.stat(self.path)
        self._identity = self._identity_now(after)
        self._size, self._changed_ns = after.st_size, after.st_mtime_ns
        return opened

    def _without_log(self, found: os.stat_result) -> Opened | None:
        """Open a file for which no log can be made (full disk, read-only); None where the log is needed to read it."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            if os.stat(f"{self.path}-wal").st_size > 0:
                return None
        try:
            opened = self._connect(found, "mode=ro&immutable=1")
        except (OSError, sqlite3.Error, StoreUnavailableError):
            self.close()
            return None
        self.read_only = True
        return opened

    def _identity_now(self, found: os.stat_result) -> Identity:
        return (
            found.st_dev,
            found.st_ino,
            _inode(f"{self.path}-wal"),
            _inode(f"{self.path}-shm"),
        )


def _opened(db: sqlite3.Connection) -> Opened:
    (store,) = db.execute("SELECT value FROM meta WHERE name = 'store'").fetchone()
    newest = db.execute(
        "SELECT revision, time_ns FROM changes ORDER BY revision DESC LIMIT 1"
    ).fetchone()
    revision, time_ns = newest or (0, 0)
    return Opened(str(store), revision, time_ns)


def _header_fault(descriptor: int) -> str:
    """What is wrong with the first bytes of a store (https://sqlite.org/fileformat.html, 1.3); empty for nothing."""
    try:
        header = os.pread(descriptor, HEADER_BYTES, 0)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    if not header:
        return "it is empty"
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
        return "it is no SQLite file"
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        return "it is an SQLite file, but no store of Pillion"
    version = int.from_bytes(header[60:64], "big")
    if version != VERSION:
        return f"it has format {version}, and this version of Pillion knows {VERSION}"
    return ""


def _descriptor_of(found: os.stat_result) -> int:
    """SQLite's own descriptor of the file, the newest where there are several."""
    wanted = (found.st_dev, found.st_ino)
    best = -1
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            its = os.fstat(int(name))
            if (its.st_dev, its.st_ino) == wanted:
                best = max(best, int(name))
    if best < 0:
        raise FileNotFoundError(2, "it was replaced while it was opened")
    return best


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0


def _existing(directory: str) -> str:
    while not os.path.isdir(directory) and directory != os.path.dirname(directory):
        directory = os.path.dirname(directory)
    return directory
