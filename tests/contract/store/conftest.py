"""Every engine that the contract is held against, each on a host of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from store_host import HOSTS, SqliteHost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=sorted(HOSTS))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteHost]:
    """The host of one engine."""
    with HOSTS[request.param](str(tmp_path)) as made:
        yield made
