"""Carries out what was asked of the embedded store, in its thread: opens the file when it must, and says how it stands.

Reads are done one by one. Writes that wait together share one transaction, and so one wait for the disk; when that fails each
is tried alone, so that none fails for another's reason.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from pillion.errors import PillionError
from pillion.store.interface import StoreUnavailableError
from pillion.store.sqlite_compaction import step
from pillion.store.sqlite_faults import fault_of, read_only
from pillion.store.sqlite_writing import HeldByOther, Newest, Transaction, newest_of
from pillion.store.worker import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.store.interface import Change
    from pillion.store.sqlite_compaction import Kept
    from pillion.store.sqlite_file import Opened, StoreFile

_CHECKPOINT_PAGES = 500
_PAGE_BYTES = 4096
_PAGES_OF_A_WRITE = 4
_COMPACT_AGAIN_S = 3600.0
# What a caller did wrong, or must know: no trouble of the store's.
_ANSWERS = (PillionError, ValueError, HeldByOther)


class Reading(Job):
    """A read; `force` looks at the file even when it was found bad a moment ago."""

    __slots__ = ("force", "work")

    def __init__(
        self, work: Callable[[sqlite3.Connection], object], *, force: bool = False
    ) -> None:
        super().__init__()
        self.work = work
        self.force = force


class Writing(Job):
    """A write; see `Reading` for `force`."""

    __slots__ = ("force", "work")

    def __init__(self, work: Callable[[Transaction], object], *, force: bool = False) -> None:
        super().__init__()
        self.work = work
        self.force = force


class State(NamedTuple):
    """How the store stands. `generation` counts how often it turned out to be another one than before."""

    readable: bool
    writable: bool
    reason: str
    store: str
    generation: int


class Batches:
    """`create` allows to make the file if there never was one; `size_bytes` bounds what is there.

    `state` and `take_written` may be used from the loop, everything else only from the thread.
    """

    def __init__(
        self,
        file: StoreFile,
        *,
        size_bytes: int,
        kept: Kept,
        create: bool,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._file = file
        self._size_bytes = size_bytes
        self._kept = kept
        self._create = create
        self._now_ns = now_ns
        self._bad: tuple[tuple[int, ...], StoreUnavailableError] | None = None
        self._last: Opened | None = None
        self._lock = threading.Lock()
        self._written: list[Change] = []
        self._pages = 0
        self._compacted_at: Newest | None = None
        self._compact_again = 0.0
        self._newest = Newest(0, 0, 0, 0)
        self.state = State(readable=False, writable=False, reason="", store="", generation=0)
        self.compaction_failures = 0

    def take_written(self) -> list[Change]:
        """The revisions and keys of the writes that were committed since the last call, in order."""
        with self._lock:
            written, self._written = self._written, []
        return written

    def carry_out(self, jobs: list[Reading | Writing]) -> None:
        """Do `jobs` in order and fill in their results."""
        for kind, group in itertools.groupby(jobs, type):
            together = list(group)
            try:
                self._ready(force=any(job.force for job in together))
            except StoreUnavailableError as error:
                _fail(together, error)
                continue
            except (sqlite3.Error, OSError) as error:
                _fail(together, self._failed(error, writing=False))
                continue
            if kind is Writing:
                self._write([job for job in together if isinstance(job, Writing)])
            else:
                for job in together:
                    if isinstance(job, Reading):
                        self._read(job)

    def idle(self) -> bool:
        """Forget old history and bring the log into the file, a step at a time; True when there is more to do."""
        if not self._file.is_open or self._file.read_only or not self.state.writable:
            return False
        try:
            if self._is_compaction_due():
                return self._compact()
            if self._pages >= _CHECKPOINT_PAGES:
                self._pages = 0
                self._file.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            self.compaction_failures += 1
            self._rollback()
            fault = fault_of(error, self._file.path, busy_s=self._file.busy_s)
            if not fault.usable:
                self._lost(fault.error)
        return False

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    # Opening.

    def _ready(self, *, force: bool) -> None:
        file = self._file
        if file.is_open and not (force and file.read_only):
            try:
                file.check()
            except StoreUnavailableError as error:
                self._lost(error)
            else:
                return
        elif self._bad is not None and not force and self._bad[0] == file.fingerprint():
            raise self._bad[1]
        try:
            if self._create:
                file.create()
                self._create = False
            opened = file.open()
        except StoreUnavailableError as error:
            self._lost(error)
            raise
        self._came_back(opened)

    def _came_back(self, opened: Opened) -> None:
        last, self._last, self._bad, self._create = self._last, opened, None, False
        generation = self.state.generation
        if last is not None and not self._continues(last, opened):
            generation += 1
        self._newest = newest_of(self._file.db)
        before = self.state
        reason = ""
        if self._file.read_only:
            # The same trouble keeps its words, or every attempt would look like a change.
            known = before.reason if before.readable else ""
            reason = known or str(read_only(self._file.path))
        self.state = State(
            readable=True,
            writable=not self._file.read_only,
            reason=reason,
            store=opened.store,
            generation=generation,
        )

    def _continues(self, last: Opened, opened: Opened) -> bool:
        """Whether the store that was opened is the one that was open before, or a later state of it."""
        if opened.store != last.store or opened.revision < last.revision:
            return False
        row = self._file.db.execute(
            "SELECT time_ns FROM changes WHERE revision = ?", (last.revision,)
        ).fetchone()
        return row is None or row[0] == last.time_ns

    def _lost(self, error: StoreUnavailableError) -> None:
        self._file.distrust()
        self._bad = (self._file.fingerprint(), error)
        self.state = self.state._replace(readable=False, writable=False, reason=str(error))

    # Work.

    def _read(self, job: Reading) -> None:
        job.error = None
        try:
            job.result = job.work(self._file.db)
        except _ANSWERS as error:
            job.error = error
        except (sqlite3.Error, OSError) as error:
            self._rollback()
            job.error = self._failed(error, writing=False)
        except Exception as error:  # noqa: BLE001 # a bug is told to who asked, and must not end the thread
            self._rollback()
            job.error = error

    def _write(self, jobs: list[Writing]) -> None:
        if not self._file.is_open:
            _fail(jobs, StoreUnavailableError(self.state.reason))
            return
        try:
            transaction = self._commit(jobs)
        except sqlite3.OperationalError as error:
            self._rollback()
            busy = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_BUSY
            if len(jobs) > 1 and not busy:
                self._write_alone(jobs)
            else:
                _fail(jobs, self._failed(error, writing=True))
        except Exception as error:  # noqa: BLE001 # as above
            self._rollback()
            if len(jobs) > 1:
                self._write_alone(jobs)
            elif isinstance(error, sqlite3.Error):
                _fail(jobs, self._failed(error, writing=True))
            else:
                _fail(jobs, error)
        else:
            self._committed(transaction)

    def _write_alone(self, jobs: list[Writing]) -> None:
        for job in jobs:
            self._write([job])

    def _commit(self, jobs: list[Writing]) -> Transaction:
        db = self._file.db
        db.execute("BEGIN IMMEDIATE")
        before = db.total_changes
        transaction = Transaction(db, self._size_bytes, self._now_ns)
        for job in jobs:
            job.error = None
            try:
                job.result = job.work(transaction)
            except _ANSWERS as error:
                job.error = error
        changed = db.total_changes != before
        db.execute("COMMIT" if changed else "ROLLBACK")
        if changed and not self.state.writable:
            self.state = self.state._replace(writable=True, reason="")
        return transaction

    def _committed(self, transaction: Transaction) -> None:
        newest = transaction.newest
        written_bytes = max(0, newest.total_bytes - self._newest.total_bytes)
        self._pages += _PAGES_OF_A_WRITE * len(transaction.written) + written_bytes // _PAGE_BYTES
        self._newest = newest
        if self._last is not None:
            self._last = self._last._replace(revision=newest.revision, time_ns=newest.time_ns)
        with self._lock:
            self._written += transaction.written

    def _failed(self, error: sqlite3.Error | OSError, *, writing: bool) -> StoreUnavailableError:
        fault = fault_of(error, self._file.path, busy_s=self._file.busy_s)
        if not fault.usable:
            self._lost(fault.error)
        elif writing:
            self.state = self.state._replace(writable=False, reason=str(fault.error))
        return fault.error

    def _rollback(self) -> None:
        if self._file.is_open and self._file.db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._file.db.execute("ROLLBACK")

    # Idle moments.

    def _is_compaction_due(self) -> bool:
        at = self._compacted_at
        if at is None:
            return self._newest.revision > 0
        return (
            self._newest.revision - at.revision >= self._kept.slack
            or self._newest.total_bytes - at.total_bytes > self._size_bytes // 16
            or (self._newest.revision > at.revision and time.monotonic() >= self._compact_again)
        )

    def _compact(self) -> bool:
        if not step(self._file.db, self._kept, self._now_ns()):
            self._compacted_at = self._newest
            self._compact_again = time.monotonic() + _COMPACT_AGAIN_S
            return self._pages >= _CHECKPOINT_PAGES
        self._pages += _CHECKPOINT_PAGES // 8
        return True


def _fail(jobs: list[Reading] | list[Writing] | list[Reading | Writing], error: Exception) -> None:
    for job in jobs:
        job.error = error
