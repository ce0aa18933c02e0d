"""Whole files or none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pillion.base.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_with_its_mode(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(b"old")
    write_atomically(str(path), b"new", mode=0o640, durable=durable)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["settings.json"]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    directory = tmp_path / "taken"
    directory.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomically(str(directory), b"new")
    assert os.listdir(tmp_path) == ["taken"]
