"""What history forgets: by number, by age, by size, a step at a time, and never what a key was at the first revision that is left."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from pillion.store.interface import CompactedError
from pillion.store.sqlite_compaction import STEP, Kept, step
from pillion.store.sqlite_reading import (
    compacted_revision,
    read_changes,
    read_history,
    read_range_at,
)
from pillion.store.sqlite_schema import create_file
from pillion.store.sqlite_writing import Transaction

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FOREVER = 1e9
_HUGE = 1 << 40
_S = 1_000_000_000


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = str(tmp_path / "store.db")
    assert create_file(path)
    made = sqlite3.connect(path, isolation_level=None)
    yield made
    made.close()


def write(
    db: sqlite3.Connection, keys: list[str], *, value: bytes | None = b"v", at_s: float = 1000
) -> None:
    db.execute("BEGIN IMMEDIATE")
    transaction = Transaction(db, _HUGE, lambda: int(at_s * _S))
    for key in keys:
        if value is None:
            transaction.delete(key, writer="w", expect=None, known=frozenset())
        else:
            transaction.put(key, value, writer="w", expect=None, lease=None, known=frozenset())
    db.execute("COMMIT")


def forget(db: sqlite3.Connection, kept: Kept, now_s: float = 1000) -> int:
    """Until there is nothing more; returns the steps."""
    steps = 1
    while step(db, kept, int(now_s * _S)):
        steps += 1
    return steps


def test_by_number_in_steps(db: sqlite3.Connection) -> None:
    write(db, [f"k{n % 5}" for n in range(1000)])
    assert forget(db, Kept(100, _FOREVER, _HUGE)) >= 900 // STEP
    assert compacted_revision(db) == 900
    # A hundred and what the five keys were.
    assert db.execute("SELECT count(*) FROM changes").fetchone() == (105,)
    assert len(read_range_at(db, "", 900)) == 5
    assert read_changes(db, 900, 10).changes[0].revision == 901
    with pytest.raises(CompactedError):
        read_changes(db, 899, 10)


def test_by_age_up_to_the_first_that_is_young_enough(db: sqlite3.Connection) -> None:
    write(db, ["a", "b"], at_s=100)
    write(db, ["a"], at_s=500)
    write(db, ["b"], at_s=100)  # a clock that went back
    assert step(db, Kept(1000, 300, _HUGE), 600 * _S) is False
    assert compacted_revision(db) == 2
    forget(db, Kept(1000, 300, _HUGE), 10_000)
    assert compacted_revision(db) == 4
    assert [c.revision for c in read_history(db, "a", 10, None)] == [3]
    assert [c.revision for c in read_history(db, "b", 10, None)] == [4]


def test_by_size_the_history_gives_way_to_what_is_there(db: sqlite3.Connection) -> None:
    for _ in range(20):
        write(db, ["a"], value=bytes(1000))
    forget(db, Kept(1000, _FOREVER, 8000))
    assert compacted_revision(db) == 20 - 7
    write(db, [f"big{n}" for n in range(6)], value=bytes(1000))
    forget(db, Kept(1000, _FOREVER, 8000))
    # What is there takes nearly everything; an eighth is always left for history.
    assert compacted_revision(db) == 26 - 1


def test_deletions_are_forgotten_altogether_but_not_the_newest_row(db: sqlite3.Connection) -> None:
    write(db, ["a", "b"])
    write(db, ["a"], value=None)
    write(db, ["b"], value=None)
    forget(db, Kept(1, 1, _HUGE), 10_000)
    assert compacted_revision(db) == 4
    assert db.execute("SELECT revision, key FROM changes").fetchall() == [(4, "b")]
    write(db, ["c"], at_s=20_000)
    write(db, ["c"], at_s=20_000)
    forget(db, Kept(1, 1, _HUGE), 30_000)
    assert db.execute("SELECT revision, key FROM changes").fetchall() == [(6, "c")]
    assert db.execute("SELECT live_bytes FROM changes").fetchone() == (2,)


def test_nothing_is_written_when_there_is_nothing_to_forget(db: sqlite3.Connection) -> None:
    write(db, ["a"])
    before = db.total_changes
    assert step(db, Kept(10, _FOREVER, _HUGE), 1000 * _S) is False
    assert db.total_changes == before
