"""The history: bounded, whole or said to be damaged, and without secrets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pillion.proxies.files.history import History
from pillion.proxies.files.site import FilesError

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"nginx.conf": "listen 80;\n", "up.conf": "server a;\n"}


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "history")


def record(history: History, version: str, files: dict[str, str] | None = None) -> None:
    history.record(version, "config shop/limit", "applied", files or FILES, at_s=7.5)


def contents(place: str) -> str:
    """Everything that is on disk, as one text."""
    found = []
    for root, _, names in os.walk(place):
        for name in names:
            with open(os.path.join(root, name), errors="replace") as file:
                found.append(file.read())
    return "".join(found)


def test_a_version_is_read_back_as_it_was(place: str) -> None:
    record(History(place, 5), "one")
    history = History(place, 5)
    assert history.read("one") == FILES
    entry = history.find("one")
    assert entry is not None
    assert (entry.number, entry.outcome, entry.reason, entry.at_s) == (
        1,
        "applied",
        "config shop/limit",
        7.5,
    )


def test_the_newest_come_first_and_the_oldest_go(place: str) -> None:
    history = History(place, 3)
    for number in range(7):
        record(history, f"v{number}")
    assert [one.version for one in history.entries()] == ["v6", "v5", "v4"]
    assert [one.number for one in history.entries()] == [7, 6, 5]
    assert history.read("v3") is None


def test_its_size_is_bounded_but_the_newest_is_kept(place: str) -> None:
    history = History(place, 100, most_bytes=1000)
    for number in range(5):
        record(history, f"v{number}", {"nginx.conf": "x" * 400})
    assert [one.version for one in history.entries()] == ["v4", "v3"]
    record(history, "large", {"nginx.conf": "x" * 4000})
    assert [one.version for one in history.entries()] == ["large"]


@pytest.mark.parametrize("damage", ["entry.json", "1"])
def test_a_damaged_entry_is_skipped_and_said(place: str, damage: str) -> None:
    history = History(place, 5)
    record(history, "one")
    record(history, "two")
    with open(os.path.join(place, "00000002-two", damage), "w") as file:
        file.write("garbage")
    assert history.read("two") is None
    assert "00000002-two" in str(history.damaged)
    assert history.read("one") == FILES
    record(history, "three")
    assert history.read("three") == FILES


def test_an_older_whole_one_stands_in_for_a_damaged_one_of_the_same_version(place: str) -> None:
    history = History(place, 5)
    record(history, "one")
    record(history, "one")
    os.unlink(os.path.join(place, "00000002-one", "0"))
    assert history.read("one") == FILES


def test_what_is_none_of_it_is_left_alone(place: str) -> None:
    history = History(place, 2)
    os.makedirs(os.path.join(place, "notes"))
    for number in range(4):
        record(history, f"v{number}")
    assert "notes" in os.listdir(place)


def test_a_refused_version_may_have_no_files(place: str) -> None:
    history = History(place, 5)
    history.record("bad", "cannot render", "refused", {}, at_s=1.0)
    assert history.read("bad") is None
    assert history.entries()[0].outcome == "refused"


def test_no_secret_is_kept_and_the_one_of_the_day_is_put_back(place: str) -> None:
    history = History(place, 5)
    files = {"nginx.conf": 'auth "hunter2-long" "hunter2";\n'}
    secrets = {"api": "hunter2", "api/long": "hunter2-long", "empty": ""}
    history.record("one", "it said hunter2", "applied", files, at_s=1.0, secrets=secrets)
    assert "hunter2" not in contents(place)
    assert history.read("one", secrets) == files
    rotated = {"api": "next", "api/long": "next-long"}
    assert history.read("one", rotated) == {"nginx.conf": 'auth "next-long" "next";\n'}
    assert history.shown("one") == {"nginx.conf": 'auth "***" "***";\n'}
    assert history.entries()[0].reason == "it said ***"
    with pytest.raises(FilesError, match="no secret api"):
        history.read("one", {"api/long": "x"})


def test_a_secret_that_looks_like_a_mark_is_no_trouble(place: str) -> None:
    history = History(place, 5)
    secrets = {"a": "secret", "b": "ecre"}
    files = {"nginx.conf": "secret ecre secret b"}
    history.record("one", "", "applied", files, at_s=1.0, secrets=secrets)
    assert history.read("one", secrets) == files


def test_differences_between_versions(place: str) -> None:
    history = History(place, 5)
    record(history, "one")
    record(history, "two", {**FILES, "up.conf": "server b;\n"})
    shown = history.diff("one", "two")
    assert shown is not None
    assert shown.endswith("@@ -1 +1 @@\n-server a;\n+server b;\n")
    assert history.diff("", "one") is not None
    assert history.diff("one", "never") is None
