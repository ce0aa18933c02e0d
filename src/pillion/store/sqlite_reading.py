"""What is read from a store file; each function is one snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.store.interface import Change, CompactedError, Entry
from pillion.store.keys import prefix_end
from pillion.store.rows import Batch, Held, Holder

if TYPE_CHECKING:
    import sqlite3

_MOST_PREFIXES = 16
_BATCH_BYTES = 1 << 20

_ENTRY = "c.key, c.value, c.revision, c.created, c.time_ns, c.writer, c.lease"
_HOLDER = "l.instance, l.run, l.realm"
_READ = f"""
SELECT (SELECT max(revision) FROM changes), {_ENTRY}, {_HOLDER}
FROM (SELECT 1) LEFT JOIN entries e ON e.key = ?
LEFT JOIN changes c ON c.revision = e.revision LEFT JOIN leases l ON l.id = e.lease
"""  # noqa: S608 # constants of this file
_RANGE = f"""
SELECT {_ENTRY}, {_HOLDER} FROM entries e JOIN changes c ON c.revision = e.revision
LEFT JOIN leases l ON l.id = e.lease WHERE e.key >= ? AND (? IS NULL OR e.key < ?) ORDER BY e.key
"""  # noqa: S608
_RANGE_AT = f"""
SELECT {_ENTRY} FROM (
    SELECT max(revision) AS newest FROM changes
    WHERE key >= ? AND (? IS NULL OR key < ?) AND revision <= ? GROUP BY key
) JOIN changes c ON c.revision = newest WHERE c.value IS NOT NULL ORDER BY c.key
"""  # noqa: S608


_Row = tuple[str, bytes, int, int, int, str, "str | None"]


def newest_revision(db: sqlite3.Connection) -> int:
    """The revision of the store."""
    (revision,) = db.execute("SELECT max(revision) FROM changes").fetchone()
    return revision or 0


def compacted_revision(db: sqlite3.Connection) -> int:
    """The oldest revision that can be gone back to."""
    (compacted,) = db.execute("SELECT value FROM meta WHERE name = 'compacted'").fetchone()
    return int(compacted)


def read_key(db: sqlite3.Connection, key: str) -> tuple[int, Held | None]:
    """The revision of the store, and the key."""
    revision, *row = db.execute(_READ, (key,)).fetchone()
    return revision or 0, _held(row) if row[0] is not None else None


def read_range(db: sqlite3.Connection, prefix: str) -> tuple[int, list[Held]]:
    """Every key that begins with `prefix` now, with the revision of the store."""
    end = prefix_end(prefix)
    db.execute("BEGIN")
    try:
        revision = newest_revision(db)
        rows = db.execute(_RANGE, (prefix, end, end)).fetchall()
    finally:
        db.execute("COMMIT")
    return revision, [_held(row) for row in rows]


def read_range_at(db: sqlite3.Connection, prefix: str, at: int) -> list[Entry]:
    """Every key that began with `prefix` at revision `at`; `CompactedError`, or `ValueError` for one to come."""
    end = prefix_end(prefix)
    db.execute("BEGIN")
    try:
        newest, compacted = newest_revision(db), compacted_revision(db)
        if at < compacted:
            raise CompactedError(at, compacted)
        if at > newest:
            raise ValueError(f"cannot read at revision {at}: the store has only come to {newest}")
        rows = db.execute(_RANGE_AT, (prefix, end, end, at)).fetchall()
    finally:
        db.execute("COMMIT")
    return [_entry(row) for row in rows]


def read_changes(
    db: sqlite3.Connection, after: int, limit: int, prefixes: tuple[str, ...] = ("",)
) -> Batch:
    """The changes after revision `after` under any of `prefixes`, in order, at most `limit` or about a megabyte.

    Raises `CompactedError` when some of them may be gone, also when the store has never come as far as `after`.
    """
    where, bounds = _where(prefixes)
    db.execute("BEGIN")
    try:
        newest, compacted = newest_revision(db), compacted_revision(db)
        if after < compacted or after > newest:
            raise CompactedError(after, compacted)
        if after == newest:
            return Batch(newest, (), more=False)
        cursor = db.execute(
            "SELECT key, value, revision, time_ns, writer FROM changes "  # noqa: S608
            f"WHERE revision > ?{where} ORDER BY revision LIMIT ?",
            (after, *bounds, limit),
        )
        changes: list[Change] = []
        rows = size = 0
        last = after
        for key, value, last, time_ns, writer in cursor:  # where it ended is what counts
            rows += 1
            if key.startswith(prefixes):
                changes.append(
                    Change(key=key, value=value, revision=last, time_s=time_ns / 1e9, writer=writer)
                )
            size += len(value or b"")
            if size > _BATCH_BYTES:
                break
        cursor.close()
    finally:
        db.execute("COMMIT")
    more = rows == limit or size > _BATCH_BYTES
    return Batch(last if more else newest, tuple(changes), more=more)


def read_history(db: sqlite3.Connection, key: str, limit: int, before: int | None) -> list[Change]:
    """The last changes of a key, newest first."""
    rows = db.execute(
        "SELECT key, value, revision, time_ns, writer FROM changes "
        "WHERE key = ? AND (? IS NULL OR revision < ?) ORDER BY revision DESC LIMIT ?",
        (key, before, before, limit),
    )
    return [
        Change(key=key, value=value, revision=revision, time_s=time_ns / 1e9, writer=writer)
        for key, value, revision, time_ns, writer in rows
    ]


def _where(prefixes: tuple[str, ...]) -> tuple[str, list[str]]:
    """The condition that a key is under one of `prefixes`; none where it would exclude nothing, or be longer than it is worth."""
    if "" in prefixes or not 0 < len(prefixes) <= _MOST_PREFIXES:
        return "", []
    parts: list[str] = []
    bounds: list[str] = []
    for prefix in prefixes:
        end = prefix_end(prefix)
        parts.append("key >= ? AND key < ?" if end is not None else "key >= ?")
        bounds += [prefix] if end is None else [prefix, end]
    return f" AND ({' OR '.join(parts)})", bounds


def _held(row: list[object] | tuple[object, ...]) -> Held:
    *entry, instance, run, realm = row
    holder = Holder(str(instance), str(run), str(realm)) if instance is not None else None
    return Held(_entry(entry), holder)  # type: ignore[arg-type]  # the columns of _ENTRY


def _entry(row: _Row) -> Entry:
    key, value, revision, created, time_ns, writer, lease = row
    return Entry(
        key=key,
        value=value,
        revision=revision,
        created=created,
        time_s=time_ns / 1e9,
        writer=writer,
        lease=lease,
    )
