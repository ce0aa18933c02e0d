"""Fixtures of the tests that start real instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from instance import Host

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def host() -> Iterator[Host]:
    """Directories of their own; every instance started in them is ended."""
    with Host() as made:
        yield made
