"""A real instance whose disk is full: the last good version serves, the event says why, and the change comes once there is room."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from failing_disk import Disk
from proxies_edge import Edge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from instance import Host


@pytest.fixture
def disk(host: Host) -> Iterator[Disk]:
    """What the instance keeps its state on."""
    made = Disk(host.root, 48)
    host.state = made.path
    yield made
    for instance in host.instances:
        instance.end()
    made.unmount()


def test_a_change_waits_for_room(host: Host, disk: Disk) -> None:
    edge = Edge(host, more='retry_max = "500ms"')
    edge.serves("hello")
    ballast = disk.fill()
    edge.write(edge.text.replace('"hello"', '"changed"'))
    event = edge.wait_for("proxy-refused")
    assert "No space left on device" in event["reason"]
    edge.serves("hello")
    os.unlink(ballast)
    edge.serves("changed")
    edge.wait_for("proxy-applied", 2)
