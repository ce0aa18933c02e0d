"""Hosts for stores, on disks that can be made to fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from failing_disk import Disk
from store_host import SqliteHost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path) -> Iterator[SqliteHost]:
    """A host whose store is in a temporary directory."""
    with SqliteHost(str(tmp_path)) as made:
        yield made


@pytest.fixture
def disk(tmp_path: Path, host: SqliteHost) -> Iterator[Disk]:
    """A disk of 8 MB that the host's store is on."""
    made = Disk(str(tmp_path), 8)
    host.path = f"{made.path}/store/store.db"
    yield made
    made.unmount()
