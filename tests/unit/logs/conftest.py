"""Lets these tests import the helpers beside the test kinds, and gives them the hot path at both speeds."""

import os
import sys
from types import SimpleNamespace

import pytest

TESTS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if TESTS not in sys.path:
    sys.path.insert(0, TESTS)

from two_speeds import BOTH  # noqa: E402


@pytest.fixture(params=sorted(BOTH), scope="session")
def hot(request: pytest.FixtureRequest) -> SimpleNamespace:
    """The modules of the hot path: as installed, and from their sources."""
    return BOTH[str(request.param)]
