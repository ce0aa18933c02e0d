"""What is written to a store file: several writes share a transaction, and each has a revision of its own.

Every write looks first and changes afterwards, so that one which is refused leaves nothing to undo for the others.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from pillion.store.interface import (
    Change,
    ConflictError,
    LeaseEndedError,
    StoreFullError,
)
from pillion.store.rows import Held, Holder
from pillion.store.sqlite_reading import read_key

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

_NEWEST = (
    "SELECT revision, live_bytes, total_bytes, time_ns FROM changes ORDER BY revision DESC LIMIT 1"
)
_CHANGE = "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SET_ENTRY = (
    "INSERT INTO entries VALUES (?, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, lease = excluded.lease"
)


# No failure: the writer asks whether the holder lives, and comes back.
class HeldByOther(Exception):
    """A key is kept by a lease of a session that the writer does not know to be alive."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(holder)
        self.holder = holder


class Newest(NamedTuple):
    """The newest change, and the sums that it carries."""

    revision: int
    live_bytes: int
    total_bytes: int
    time_ns: int


class Lease(NamedTuple):
    """A row of the leases."""

    id: str
    holder: Holder
    ttl_s: float
    engine: str


def newest_of(db: sqlite3.Connection) -> Newest:
    """The newest change; zeros in a new store."""
    row = db.execute(_NEWEST).fetchone()
    return Newest(*row) if row else Newest(0, 0, 0, 0)


class Transaction:
    """One transaction that writes; `written` are its changes, in order.

    The caller begins and ends it. `size_bytes` bounds keys and values that are there.
    """

    def __init__(
        self, db: sqlite3.Connection, size_bytes: int, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self.db = db
        self.newest = newest_of(db)
        self.written: list[Change] = []
        self._size_bytes = size_bytes
        self._now_ns = now_ns

    def put(
        self,
        key: str,
        value: bytes,
        *,
        writer: str,
        expect: int | None,
        lease: str | None,
        known: frozenset[Holder],
    ) -> int:
        """Write `key`; see `Store.put`. Raises `HeldByOther` for a holder outside `known`."""
        current = self._current(key, expect, known)
        if lease is not None and not self._has_lease(lease):
            raise LeaseEndedError(lease)
        more = len(key.encode()) + len(value)
        if current is not None:
            more -= _bytes_of(current)
        if more > 0 and self.newest.live_bytes + more > self._size_bytes:
            raise StoreFullError(
                f"cannot write {key}: the store would hold {self.newest.live_bytes + more} bytes of keys and values, and "
                f"store.size allows {self._size_bytes}; delete what is not needed, or raise store.size"
            )
        created = current.entry.created if current is not None else self.newest.revision + 1
        revision = self._change(key, value, created, more, writer, lease)
        self.db.execute(_SET_ENTRY, (key, revision, lease))
        return revision

    def delete(
        self, key: str, *, writer: str, expect: int | None, known: frozenset[Holder]
    ) -> int | None:
        """Delete `key`; see `Store.delete`."""
        current = self._current(key, expect, known)
        if current is None:
            return None
        return self._delete(current, writer)

    def grant(self, lease: Lease) -> None:
        """Enter a lease."""
        self.db.execute(
            "INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?)",
            (lease.id, *lease.holder, lease.ttl_s, lease.engine),
        )

    def end_lease(self, lease: str, *, writer: str, engine: str | None = None) -> bool:
        """End a lease with its keys; with `engine` only while that one watches its time. False when it had ended."""
        row = self.db.execute("SELECT engine FROM leases WHERE id = ?", (lease,)).fetchone()
        if row is None or (engine is not None and row[0] != engine):
            return False
        keys = self.db.execute("SELECT key FROM entries WHERE lease = ?", (lease,)).fetchall()
        for (key,) in sorted(keys):
            _, held = read_key(self.db, key)
            assert held is not None
            self._delete(held, writer)
        self.db.execute("DELETE FROM leases WHERE id = ?", (lease,))
        return True

    def end_leases_of(self, holder: Holder, *, writer: str) -> int:
        """End every lease of a session; returns how many there were."""
        rows = self.db.execute(
            "SELECT id FROM leases WHERE instance = ? AND run = ? AND realm = ? ORDER BY id", holder
        ).fetchall()
        for (lease,) in rows:
            self.end_lease(lease, writer=writer)
        return len(rows)

    def adopt(self, holder: Holder, engine: str) -> None:
        """Watch the time of a session's leases from now on."""
        self.db.execute(
            "UPDATE leases SET engine = ? WHERE instance = ? AND run = ? AND realm = ?",
            (engine, *holder),
        )

    def probe(self) -> None:
        """Write something small that changes nothing."""
        self.db.execute("UPDATE meta SET value = ? WHERE name = 'probe'", (self._now_ns(),))

    def _current(self, key: str, expect: int | None, known: frozenset[Holder]) -> Held | None:
        _, current = read_key(self.db, key)
        if current is not None and current.holder is not None and current.holder not in known:
            raise HeldByOther(current.holder)
        if expect is not None and expect != (current.entry.revision if current else 0):
            raise ConflictError(key, current.entry if current else None)
        return current

    def _has_lease(self, lease: str) -> bool:
        return self.db.execute("SELECT 1 FROM leases WHERE id = ?", (lease,)).fetchone() is not None

    def _delete(self, current: Held, writer: str) -> int:
        key = current.entry.key
        revision = self._change(
            key, None, current.entry.created, -_bytes_of(current), writer, current.entry.lease
        )
        self.db.execute("DELETE FROM entries WHERE key = ?", (key,))
        return revision

    def _change(
        self,
        key: str,
        value: bytes | None,
        created: int,
        more: int,
        writer: str,
        lease: str | None,
    ) -> int:
        revision, live, total, _ = self.newest
        newest = Newest(
            revision + 1,
            live + more,
            total + len(key.encode()) + len(value or b""),
            self._now_ns(),
        )
        self.db.execute(
            _CHANGE,
            (
                newest.revision,
                key,
                created,
                newest.time_ns,
                writer,
                lease,
                newest.live_bytes,
                newest.total_bytes,
                value,
            ),
        )
        self.newest = newest
        self.written.append(
            Change(
                key=key,
                value=value,
                revision=newest.revision,
                time_s=newest.time_ns / 1e9,
                writer=writer,
            )
        )
        return newest.revision


def _bytes_of(held: Held) -> int:
    return len(held.entry.key.encode()) + len(held.entry.value)


def leases_of(db: sqlite3.Connection, holder: Holder) -> list[Lease]:
    """The leases of a session."""
    rows = db.execute(
        "SELECT id, ttl_s, engine FROM leases WHERE instance = ? AND run = ? AND realm = ?", holder
    )
    return [Lease(lease, holder, ttl_s, engine) for lease, ttl_s, engine in rows]


def holders(db: sqlite3.Connection) -> set[Holder]:
    """Every session that has a lease."""
    return {Holder(*row) for row in db.execute("SELECT DISTINCT instance, run, realm FROM leases")}


def has_lease(db: sqlite3.Connection, lease: str) -> Holder | None:
    """Whose lease it is; None when it has ended."""
    row = db.execute("SELECT instance, run, realm FROM leases WHERE id = ?", (lease,)).fetchone()
    return Holder(*row) if row else None
