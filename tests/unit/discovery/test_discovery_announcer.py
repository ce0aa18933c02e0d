"""The file of an announcement: written once, read by others only when it is whole, ours and of this life."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import pytest

from pillion.base.neighbours import Session
from pillion.discovery.announcements import ANNOUNCEMENT, read_announcement
from pillion.discovery.announcer import Announcer
from pillion.discovery.instance import ServiceInstance, encode

if TYPE_CHECKING:
    from pathlib import Path

SESSION = Session("orders-1", "r1")
ORDERS = ServiceInstance(
    id="orders-1",
    service="orders",
    address="127.0.0.1",
    port=3000,
    instance="orders-1",
    run="r1",
    since="2026-01-31T12:00:00Z",
)


def announcer(directory: Path, told: list[ServiceInstance | None] | None = None) -> Announcer:
    heard: list[ServiceInstance | None] = [] if told is None else told
    made = Announcer(str(directory), SESSION, heard.append)
    made.take_over()
    return made


def identity(directory: Path) -> tuple[int, int]:
    found = (directory / ANNOUNCEMENT).stat()
    return found.st_ino, found.st_mtime_ns


def test_written_read_and_removed(tmp_path: Path) -> None:
    told: list[ServiceInstance | None] = []
    own = announcer(tmp_path, told)
    assert own.announce(ORDERS)
    assert read_announcement(str(tmp_path), SESSION) == ORDERS
    assert (tmp_path / ANNOUNCEMENT).stat().st_mode & 0o777 == 0o600
    assert own.announce(None)
    assert read_announcement(str(tmp_path), SESSION) is None
    assert told == [None, ORDERS, None]
    assert os.listdir(tmp_path) == []


def test_nothing_is_written_while_nothing_changes(tmp_path: Path) -> None:
    own = announcer(tmp_path)
    own.announce(ORDERS)
    before = identity(tmp_path)
    assert not own.announce(msgspec.structs.replace(ORDERS, since="2026-02-01T00:00:00Z"))
    assert identity(tmp_path) == before


def test_another_status_keeps_since(tmp_path: Path) -> None:
    own = announcer(tmp_path)
    own.announce(ORDERS)
    assert own.announce(msgspec.structs.replace(ORDERS, since="later", status="warning"))
    assert own.present is not None
    assert (own.present.status, own.present.since) == ("warning", ORDERS.since)
    assert own.announce(msgspec.structs.replace(ORDERS, since="later", port=1))
    assert own.present.since == "later"


def test_the_next_agent_takes_over_what_stands_there(tmp_path: Path) -> None:
    announcer(tmp_path).announce(ORDERS)
    before = identity(tmp_path)
    told: list[ServiceInstance | None] = []
    successor = announcer(tmp_path, told)
    assert told == [ORDERS]
    assert not successor.announce(msgspec.structs.replace(ORDERS, since="later"))
    assert identity(tmp_path) == before


def test_what_an_earlier_run_has_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ANNOUNCEMENT).write_bytes(encode(msgspec.structs.replace(ORDERS, run="r0")))
    told: list[ServiceInstance | None] = []
    announcer(tmp_path, told)
    assert told == [None]
    assert not (tmp_path / ANNOUNCEMENT).exists()


def test_what_nobody_would_take_is_not_written(tmp_path: Path) -> None:
    own = announcer(tmp_path)
    own.announce(ORDERS)
    too_long = {f"k{n}": "x" * 1000 for n in range(40)}
    for bad in (
        msgspec.structs.replace(ORDERS, meta=too_long),
        msgspec.structs.replace(ORDERS, zone="a\nb"),
    ):
        with pytest.raises(ValueError, match=r"cannot|bytes"):
            own.announce(bad)
    assert read_announcement(str(tmp_path), SESSION) == ORDERS


def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    own = announcer(tmp_path)
    tmp_path.rename(tmp_path.parent / "moved")
    with pytest.raises(OSError, match="No such file"):
        own.announce(ORDERS)
    assert own.present is None
    tmp_path.mkdir()


@pytest.mark.parametrize(
    "other",
    [
        msgspec.structs.replace(ORDERS, run="r0"),
        msgspec.structs.replace(ORDERS, instance="shop"),
        msgspec.structs.replace(ORDERS, id="shop"),
        msgspec.structs.replace(ORDERS, instance="", run=""),
    ],
)
def test_one_that_speaks_for_another(tmp_path: Path, other: ServiceInstance) -> None:
    (tmp_path / ANNOUNCEMENT).write_bytes(encode(other))
    with pytest.raises(ValueError, match="another"):
        read_announcement(str(tmp_path), SESSION)


def test_what_is_no_file_of_ours(tmp_path: Path) -> None:
    path = tmp_path / ANNOUNCEMENT
    (tmp_path / "real").write_bytes(encode(ORDERS))
    path.symlink_to(tmp_path / "real")
    with pytest.raises(ValueError, match="link"):
        read_announcement(str(tmp_path), SESSION)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match="no file"):
        read_announcement(str(tmp_path), SESSION)
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match="no file"):
        read_announcement(str(tmp_path), SESSION)
    path.rmdir()
    if os.geteuid() == 0:
        path.write_bytes(encode(ORDERS))
        os.chown(path, 65534, 65534)
        with pytest.raises(ValueError, match="no file"):
            read_announcement(str(tmp_path), SESSION)
