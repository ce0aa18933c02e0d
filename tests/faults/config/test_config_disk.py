"""A store whose disk is full or turns read-only: reads are answered and marked, writes say why not, and what can come back does so by itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from config_http import get, put
from failing_disk import Disk
from instance import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from config_http import Answer
    from instance import Host, Instance


@pytest.fixture
def disk(host: Host) -> Iterator[Disk]:
    made = Disk(host.root, 16)
    yield made
    made.unmount()


def start(host: Host, disk: Disk) -> Instance:
    settings = f'[store]\nurl = "sqlite:{disk.path}/store.db"\n'
    instance = host.run("sleep", "600", name="one", settings=settings)
    instance.wait_state("app")
    instance.wait_state("agent")
    assert put(instance, "shop/price", 1).status == 201
    return instance


def is_marked(answer: Answer) -> bool:
    """Whether a read was answered from what is known, and says so."""
    return answer.status == 200 and "pillion-stale" in answer.headers


def comes_back(instance: Instance, value: object) -> None:
    wait_for("writes work", lambda: put(instance, "shop/price", value).status == 200)
    wait_for("reads are not marked", lambda: not is_marked(get(instance, "shop/price")))
    assert get(instance, "shop/price").body["value"] == value


def test_a_full_disk(host: Host, disk: Disk) -> None:
    instance = start(host, disk)
    ballast = disk.fill()
    # Room that the log has kept for itself is used up first.
    value = "x" * 300_000
    wait_for(
        "the disk is full for the store too", lambda: put(instance, "big", value).status == 507
    )
    refused = put(instance, "shop/price", value)
    assert refused.status == 507
    assert "full" in str(refused.body["detail"])
    wait_for("reads are marked", lambda: is_marked(get(instance, "shop/price")))
    assert get(instance, "shop/price").body["value"] == 1
    os.unlink(ballast)
    comes_back(instance, 2)


def test_a_disk_that_turns_read_only(host: Host, disk: Disk) -> None:
    instance = start(host, disk)
    disk.remount("abort")  # what ext4 does to itself when its disk fails
    wait_for("writes are refused", lambda: put(instance, "shop/price", 3).status == 503)
    refused = put(instance, "shop/price", 3)
    assert "retry-after" in refused.headers
    assert "cannot" in str(refused.body["detail"])
    wait_for("reads are marked", lambda: is_marked(get(instance, "shop/price")))
    assert get(instance, "shop/price").body["value"] == 1
    # Such a file system stays read-only as long as anybody has a file of it open: there is nothing to come back to.
    assert put(instance, "shop/price", 3).status == 503
