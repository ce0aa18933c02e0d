from types import ModuleType

import pytest
from two_codecs import BOTH


@pytest.fixture(params=sorted(BOTH))
def codec(request: pytest.FixtureRequest) -> ModuleType:
    """Every test of the codec runs on the compiled one and on its source."""
    return BOTH[str(request.param)]
