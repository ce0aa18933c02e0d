"""Lets these tests import the helpers beside the test kinds, and gives them a keeper's side of the wire."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

TESTS = next(str(one) for one in Path(__file__).parents if one.name == "tests")
if TESTS not in sys.path:
    sys.path.insert(0, TESTS)

from keeper_peer import KeeperPeer  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[KeeperPeer]:
    """An instance without a keeper of its own, ready to start agents."""
    with KeeperPeer(tmp_path) as peer:
        yield peer
