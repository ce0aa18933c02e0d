"""Files are replaced as a whole, for their owner alone, and only when they differ."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pillion.config.projection_files import Owner, correct, differs, replace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("held", "expected"),
    [(b"new", False), (b"old", True), (b"newer", True), (b"ne", True), (b"", True), (None, True)],
)
def test_what_differs(tmp_path: Path, held: bytes | None, expected: bool) -> None:
    path = tmp_path / "x"
    if held is not None:
        path.write_bytes(held)
    assert differs(str(path), b"new") is expected


def test_what_is_no_file_differs_and_nobody_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"new")
    (tmp_path / "link").symlink_to("target")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        path = str(tmp_path / name)
        assert differs(path, b"new")
        replace(path, b"new", None, None)
        assert not differs(path, b"new")
    assert (tmp_path / "target").read_bytes() == b"new"


@pytest.mark.parametrize(("mode", "expected"), [(None, 0o600), (0o640, 0o640), (0o604, 0o604)])
def test_only_the_owner_reads_it_unless_the_mode_says_so(
    tmp_path: Path, mode: int | None, expected: int
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    path.chmod(0o666)
    replace(str(path), b"new", mode, None)
    assert path.stat().st_mode & 0o7777 == expected
    path.chmod(0o666)
    correct(str(path), mode, None)
    assert path.stat().st_mode & 0o7777 == expected


def test_what_is_right_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "x"
    replace(str(path), b"new", None, Owner(os.getuid(), os.getgid()))
    before = path.stat().st_ctime_ns
    correct(str(path), None, Owner(os.getuid(), os.getgid()))
    assert path.stat().st_ctime_ns == before


def test_a_file_that_somebody_has_put_there_is_not_written_into(tmp_path: Path) -> None:
    path = tmp_path / "x"
    trap = tmp_path / f"x.{os.getpid()}.new"
    trap.write_bytes(b"")
    with open(trap, "rb") as held:
        replace(str(path), b"secret", None, None)
        assert held.read() == b""
    assert path.read_bytes() == b"secret"


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    path = str(tmp_path / "none" / "x")
    assert differs(path, b"new")
    with pytest.raises(FileNotFoundError):
        replace(path, b"new", None, None)
