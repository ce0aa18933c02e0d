"""Gives these tests the hot path at both speeds."""

from types import SimpleNamespace

import pytest

from two_speeds import BOTH


@pytest.fixture(params=sorted(BOTH), scope="session")
def hot(request: pytest.FixtureRequest) -> SimpleNamespace:
    """The modules of the hot path: as installed, and from their sources."""
    return BOTH[str(request.param)]
