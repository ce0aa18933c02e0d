"""Which directories are watched for a path, and that a wait ends with every way in which a secret changes."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from pillion.errors import RefusedError
from pillion.secrets.catalogue import Catalogue, Source
from pillion.secrets.paths import watched_directories
from pillion.secrets.secrets import SecretFacts, Secrets
from pillion.secrets.versions import Versions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BOUND_S = 40.0


def secrets_of(*sources: Source, use_inotify: bool = True) -> Secrets:
    return Secrets(
        Catalogue(sources, {}),
        Versions(b"key"),
        lambda _: None,
        lambda seconds: f"{seconds:.0f}",
        0.0,
        use_inotify=use_inotify,
    )


def kubernetes(mount: Path, version: str, value: str) -> None:
    """Swap the content of a mount as the kubelet does: a new directory, and a rename of the link to it."""
    (mount / version).mkdir(parents=True)
    (mount / version / "password").write_text(value)
    (mount / "..data_tmp").symlink_to(version)
    os.replace(mount / "..data_tmp", mount / "..data")
    if not (mount / "password").is_symlink():
        (mount / "password").symlink_to("..data/password")


def test_a_plain_file_is_watched_by_its_directory(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    assert watched_directories(str(tmp_path / "f")) == {str(tmp_path)}


def test_every_link_on_the_way_is_watched(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "f").touch()
    (tmp_path / "current").symlink_to("v1")
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "link").symlink_to(tmp_path / "current" / "f")
    assert watched_directories(str(tmp_path / "else" / "link")) == {
        str(tmp_path / "else"),
        str(tmp_path),
        str(tmp_path / "v1"),
    }


def test_what_is_missing_is_watched_where_it_will_appear(tmp_path: Path) -> None:
    assert watched_directories(str(tmp_path / "a" / "b" / "c")) == {str(tmp_path)}
    (tmp_path / "a").symlink_to("nowhere/at/all")
    assert watched_directories(str(tmp_path / "a" / "b")) == {str(tmp_path)}


def test_a_loop_ends(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to("y")
    (tmp_path / "y").symlink_to("x")
    assert watched_directories(str(tmp_path / "x")) == {str(tmp_path)}


def in_place(path: Path) -> None:
    path.write_text("new")


def renamed(path: Path) -> None:
    path.with_suffix(".tmp").write_text("new")
    os.replace(path.with_suffix(".tmp"), path)


def removed(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("use_inotify", [True, False], ids=["inotify", "polling"])
@pytest.mark.parametrize("change", [in_place, renamed, removed])
def test_a_wait_ends_with_a_change(
    tmp_path: Path, change: Callable[[Path], None], use_inotify: bool
) -> None:
    path = tmp_path / "secret"
    path.write_text("old")

    async def check() -> None:
        secrets = secrets_of(Source("s", "file", str(path)), use_inotify=use_inotify)
        place = secrets.place("s", operator=False)
        _, version = await secrets.read(place)
        waiting = asyncio.create_task(secrets.wait(place, version, BOUND_S))
        await asyncio.sleep(0)
        assert secrets.watcher.waiters == 1
        change(path)
        await asyncio.wait_for(waiting, BOUND_S / 2)
        assert secrets.watcher.waiters == 0
        secrets.close()

    asyncio.run(check())


def test_a_wait_for_a_known_version_ends_with_its_time(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("x")

    async def check() -> None:
        secrets = secrets_of(Source("s", "file", str(tmp_path / "s")))
        place = secrets.place("s", operator=False)
        _, version = await secrets.read(place)
        await asyncio.wait_for(secrets.wait(place, version, 0.01), BOUND_S)
        await asyncio.wait_for(secrets.wait(place, "another", BOUND_S), BOUND_S / 2)
        secrets.close()

    asyncio.run(check())


def test_an_absent_one_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "later" / "secret"

    async def check() -> None:
        secrets = secrets_of(Source("s", "file", str(path)))
        place = secrets.place("s", operator=False)
        waiting = asyncio.create_task(secrets.wait(place, "", BOUND_S))
        await asyncio.sleep(0)
        assert secrets.watcher.waiters == 1
        path.parent.mkdir()
        path.write_text("here")
        await asyncio.wait_for(waiting, BOUND_S / 2)
        secrets.close()

    asyncio.run(check())


def test_changes_of_a_kubernetes_mount(tmp_path: Path) -> None:
    kubernetes(tmp_path, "..1", "one")

    async def check() -> None:
        secrets = secrets_of(Source("db", "directory", str(tmp_path)))
        changes = secrets.changes(None, operator=False, look_s=BOUND_S)

        async def after(change: Callable[[], object]) -> list[SecretFacts]:
            following = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0)
            change()
            facts = await asyncio.wait_for(following, BOUND_S)
            assert facts is not None
            return facts

        (first,) = await anext(changes) or []
        assert (first.name, first.present) == ("db/password", True)
        (swapped,) = await after(lambda: kubernetes(tmp_path, "..2", "two"))
        assert swapped.version not in (None, first.version)
        (gone,) = await after(lambda: (tmp_path / "password").unlink())
        assert (gone.name, gone.present, gone.version) == ("db/password", False, None)
        (back,) = await after(lambda: (tmp_path / "password").symlink_to("..data/password"))
        assert back.version == swapped.version
        await changes.aclose()
        assert secrets.watcher.waiters == 0
        assert not secrets.watcher.polls
        secrets.close()

    asyncio.run(check())


def test_the_operators_is_refused_to_the_app(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("x")

    async def check() -> None:
        secrets = secrets_of(Source("s", "file", str(tmp_path / "s"), operator_only=True))
        with pytest.raises(RefusedError) as caught:
            secrets.place("s", operator=False)
        assert caught.value.status == 403
        secrets.place("s", operator=True)
        (seen,) = await secrets.facts(operator=False)
        assert (seen.present, seen.access, seen.version) == (True, "operator", None)
        (seen,) = await secrets.facts(operator=True)
        assert seen.version is not None
        secrets.close()

    asyncio.run(check())


def test_nothing_is_held_while_nobody_waits(tmp_path: Path) -> None:
    async def check() -> None:
        before = len(os.listdir("/proc/self/fd"))
        secrets = secrets_of(Source("s", "file", str(tmp_path / "s")))
        assert len(os.listdir("/proc/self/fd")) == before
        with secrets.watcher, secrets.watcher:
            assert secrets.watcher.waiters == 2
        assert len(os.listdir("/proc/self/fd")) == before

    asyncio.run(check())
