"""A store file is made whole, once, and says what it is."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pillion.store.interface import StoreUnavailableError
from pillion.store.sqlite_file import StoreFile
from pillion.store.sqlite_schema import APPLICATION_ID, VERSION, create_file

if TYPE_CHECKING:
    from pathlib import Path


def test_the_file_says_what_it_is_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "store.db"
    assert create_file(str(path))
    header = path.read_bytes()[:100]
    assert header[:16] == b"SQLite format 3\0"
    assert int.from_bytes(header[68:72], "big") == APPLICATION_ID
    assert int.from_bytes(header[60:64], "big") == VERSION
    assert header[18:20] == b"\2\2"  # write-ahead logging
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(path.parent) == ["store.db"]


def test_one_of_many_makes_it(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    made: list[bool] = []
    threads = [threading.Thread(target=lambda: made.append(create_file(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]
    assert os.listdir(tmp_path) == ["store.db"]


def test_what_killed_makers_left_is_removed_in_time(tmp_path: Path) -> None:
    old, young = tmp_path / "store.db.aa.new", tmp_path / "store.db.bb.new"
    for one in (old, young):
        one.touch()
    os.utime(old, (time.time() - 7200,) * 2)
    assert create_file(str(tmp_path / "store.db"))
    assert sorted(os.listdir(tmp_path)) == ["store.db", "store.db.bb.new"]


def test_a_format_of_another_version_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    create_file(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    file = StoreFile(path, sync="full")
    with pytest.raises(StoreUnavailableError, match="format 99"):
        file.open()
    assert not file.is_open


def test_a_path_with_odd_characters(tmp_path: Path) -> None:
    path = str(tmp_path / "a?b#c %41 ä" / "store.db")
    create_file(path)
    file = StoreFile(path, sync="full")
    assert file.open().revision == 0
    file.check()
    file.close()
