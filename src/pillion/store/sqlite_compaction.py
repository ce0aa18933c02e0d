"""What the history keeps, and forgetting the rest in small steps, so that no writer waits for it.

Forgotten is a change that a newer one of the same key has replaced, at or before the revision `compacted`. What a key was at
that revision stays, so that the whole store can still be read as of it and every later revision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pillion.store.sqlite_reading import compacted_revision
from pillion.store.sqlite_writing import newest_of

if TYPE_CHECKING:
    import sqlite3

STEP = 128
"""Revisions forgotten in one transaction."""
_LEAST_SLACK, _MOST_SLACK = 16, 512


class Kept(NamedTuple):
    """The bounds of the history: in revisions, in seconds, and in bytes of keys and values together with what is there."""

    revisions: int
    age_s: float
    size_bytes: int

    @property
    def slack(self) -> int:
        """How far the history may grow above its bound before it is worth a transaction."""
        return min(_MOST_SLACK, max(_LEAST_SLACK, self.revisions // 10))

    def history_bytes(self, live_bytes: int) -> int:
        """What changes since the compacted revision may hold: the history gives way to what is there."""
        return max(self.size_bytes - live_bytes, self.size_bytes // 8)


def step(db: sqlite3.Connection, kept: Kept, now_ns: int) -> bool:
    """Forget at most `STEP` revisions, in a transaction of its own; True when there may be more to forget.

    Raises `sqlite3.Error`; nothing is forgotten then.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        compacted = compacted_revision(db)
        target = _target(db, kept, compacted, now_ns)
        if target > compacted:
            _forget(db, compacted, target)
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
    return target - compacted >= STEP


def _target(db: sqlite3.Connection, kept: Kept, compacted: int, now_ns: int) -> int:
    newest = newest_of(db)
    allowed = kept.history_bytes(newest.live_bytes)
    oldest_ns = now_ns - int(kept.age_s * 1e9)
    target = compacted
    rows = db.execute(
        "SELECT revision, time_ns, total_bytes FROM changes WHERE revision > ? ORDER BY revision LIMIT ?",
        (compacted, STEP),
    ).fetchall()
    for revision, time_ns, total_bytes in rows:
        beyond = newest.revision - revision >= kept.revisions
        if not (beyond or time_ns < oldest_ns or newest.total_bytes - total_bytes > allowed):
            break
        target = revision
    return target


def _forget(db: sqlite3.Connection, compacted: int, target: int) -> None:
    newest = newest_of(db).revision
    touched = db.execute(
        "SELECT key, max(revision) FROM changes WHERE revision >= ? AND revision <= ? GROUP BY key",
        (compacted, target),
    ).fetchall()
    for key, last in touched:
        db.execute("DELETE FROM changes WHERE key = ? AND revision < ?", (key, last))
        # A deletion needs not be remembered; the newest row of all carries the sums.
        db.execute(
            "DELETE FROM changes WHERE revision = ? AND value IS NULL AND revision < ?",
            (last, newest),
        )
    db.execute("UPDATE meta SET value = ? WHERE name = 'compacted'", (target,))
