"""Fixtures of the tests that start real instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from instance import Host

if TYPE_CHECKING:
    from collections.abc import Iterator

# The ordinary run asks the same of every change, and no clock of a machine that others use; `make soak` looks for what is new.
_UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("ordinary", derandomize=True, **_UNTIMED)
settings.register_profile("search", max_examples=1000, **_UNTIMED)
settings.load_profile("ordinary")


@pytest.fixture
def host() -> Iterator[Host]:
    """Directories of their own; every instance started in them is ended."""
    with Host() as made:
        yield made
