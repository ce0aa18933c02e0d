"""`pillion store`: what it says of a good store, a bad one and none, and that it makes one only where there is none."""

from __future__ import annotations

import json
import os
import sqlite3
from typing import TYPE_CHECKING

import pytest

from pillion.cli.main import main
from pillion.store.sqlite_schema import create_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILLION_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PILLION_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("PILLION_SOCKET", raising=False)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "state" / ".store" / "store.db")


def test_none_then_a_new_one(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store"]) == 1
    said = capsys.readouterr().out
    assert "not usable" in said
    assert "pillion store create" in said
    assert not os.path.exists(path)
    assert main(["store", "create"]) == 0
    assert main(["store", "status", "--json"]) == 0
    out = capsys.readouterr().out
    status = json.loads(out[out.index("{") :])
    assert status["path"] == path
    assert (status["engine"], status["usable"], status["writable"], status["integrity"]) == (
        "sqlite",
        True,
        True,
        "ok",
    )
    assert (status["keys"], status["revision"], status["compacted"], status["reason"]) == (
        0,
        0,
        0,
        "",
    )
    assert status["size_bytes"] > 0
    assert len(status["store"]) == 36


def test_one_that_is_there_is_left_alone(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    create_file(path)
    before = os.stat(path).st_ino
    assert main(["store", "create"]) == 1
    assert capsys.readouterr().err.startswith("pillion: cannot create the store")
    assert os.stat(path).st_ino == before


def test_a_damaged_one(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    create_file(path)
    db = sqlite3.connect(path)
    db.executemany("INSERT INTO meta VALUES (?, ?)", [(f"n{n}", "x" * 900) for n in range(50)])
    db.commit()
    db.close()
    with open(path, "r+b") as file:
        file.seek(4096 * 12)
        file.write(os.urandom(4096 * 4))
    assert main(["store", "--json"]) == 1
    status = json.loads(capsys.readouterr().out)
    assert not status["usable"]
    assert "damaged" in status["reason"]


def test_another_one_by_url(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = str(tmp_path / "other.db")
    assert main(["store", "create", "--url", f"sqlite:{other}"]) == 0
    assert os.path.exists(other)
    assert main(["store", "--url", "etcd://host"]) == 2
    assert capsys.readouterr().err.startswith("pillion: cannot take 'etcd://host'")
