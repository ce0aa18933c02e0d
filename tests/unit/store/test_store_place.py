"""Which file a URL means, and which file systems may hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pillion.store.interface import StoreUnavailableError
from pillion.store.place import _mounted_as, network_kind, refuse_network, store_path

if TYPE_CHECKING:
    from pathlib import Path


def test_the_default_is_below_the_state_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILLION_STATE_DIR", "/somewhere/state")
    assert store_path("sqlite") == "/somewhere/state/.store/store.db"


def test_a_path_of_ones_own() -> None:
    assert store_path("sqlite:/a/b//c.db") == "/a/b/c.db"


@pytest.mark.parametrize("url", ["", "sqlite:", "sqlite:a.db", "etcd://host:2379", "/a/b"])
def test_what_is_no_url_of_a_file(url: str) -> None:
    with pytest.raises(ValueError, match=r"^cannot take "):
        store_path(url)


def test_a_network_file_system_is_refused_by_name() -> None:
    with pytest.raises(StoreUnavailableError, match=r"^cannot keep .*\(NFS\).*store\.url"):
        refuse_network("/home", lambda _: "NFS")
    refuse_network("/home", lambda _: None)


def test_a_local_directory_is_not_taken_for_one(tmp_path: Path) -> None:
    assert network_kind(str(tmp_path)) is None
    assert network_kind("/proc") is None
    assert network_kind("/does/not/exist") is None


def test_the_deepest_mount_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "my dir" / "in").mkdir(parents=True)
    point = str(tmp_path / "my dir").replace(" ", "\\040")
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        f"40 22 0:50 / {point} rw,nosuid shared:2 master:1 - fuse.sshfs host:/x rw\n"
        f"41 22 0:51 / {point}more rw - tmpfs tmpfs rw\n"
    )
    assert _mounted_as(str(tmp_path / "my dir" / "in"), str(table)) == "fuse.sshfs"
    assert _mounted_as("/elsewhere", str(table)) == "ext4"
    assert _mounted_as("/elsewhere", str(tmp_path / "none")) == ""
