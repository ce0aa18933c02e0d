"""Two instances of one service on one host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from instance import Host, Instance

SETTINGS = '[service]\nname = "shop"\nregister = false\n[config]\nenvironment = "test"\n'


@pytest.fixture
def pair(host: Host) -> tuple[Instance, Instance]:
    """Both run; what is written in one is to be seen in the other."""
    found = tuple(host.run("sleep", "600", name=name, settings=SETTINGS) for name in ("one", "two"))
    for instance in found:
        instance.wait_state("app")
        instance.wait_state("agent")
    return found[0], found[1]
