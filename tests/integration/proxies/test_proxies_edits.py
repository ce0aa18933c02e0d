"""Edits by somebody else, as the kernel tells of them: every way in which an editor replaces a file, and none of ours."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from pillion.proxies.files.candidate import write_candidate
from pillion.proxies.files.foreign import Watch, edits
from pillion.proxies.files.moving import applied, finish, move
from pillion.proxies.files.site import Site

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

NAMES = ("nginx.conf", "conf.d/up.conf")
BOUND_S = 40.0


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site("edge", str(tmp_path / "conf"), str(tmp_path / "state"))
    apply(site, "one")
    return site


def apply(site: Site, text: str) -> None:
    made = write_candidate(site, "nginx.conf", dict.fromkeys(NAMES, text))
    move(site, made, text, "", 1.0)
    finish(site)


def edited(site: Site) -> tuple[str, ...]:
    written = applied(site)
    assert written is not None
    return tuple(one.name for one in edits(site, written))


def watched(
    site: Site, work: Callable[[Watch, asyncio.Queue[tuple[str, ...]]], Awaitable[None]]
) -> None:
    async def go() -> None:
        seen: asyncio.Queue[tuple[str, ...]] = asyncio.Queue()
        watch = Watch(site, lambda: seen.put_nowait(edited(site)))
        watch.begin(NAMES)
        try:
            async with asyncio.timeout(BOUND_S):
                await work(watch, seen)
        finally:
            watch.close()

    asyncio.run(go())


def in_place(path: str) -> None:
    with open(path, "a") as file:
        file.write("theirs")


def rewrite(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def by_rename(path: str) -> None:
    in_place(f"{path}~")
    os.replace(f"{path}~", path)


def by_removal(path: str) -> None:
    os.unlink(path)


@pytest.mark.parametrize("way", [in_place, by_rename, by_removal])
@pytest.mark.parametrize("name", NAMES)
def test_an_edit_is_seen(site: Site, name: str, way: Callable[[str], None]) -> None:
    async def work(_watch: Watch, seen: asyncio.Queue[tuple[str, ...]]) -> None:
        way(site.live(name))
        while await seen.get() != (name,):
            pass

    watched(site, work)


def test_the_steps_of_one_edit_are_looked_at_once(site: Site) -> None:
    async def work(_watch: Watch, seen: asyncio.Queue[tuple[str, ...]]) -> None:
        for _ in range(100):
            by_rename(site.live("nginx.conf"))
        assert await seen.get() == ("nginx.conf",)
        assert seen.empty()

    watched(site, work)


def test_a_directory_that_is_replaced_is_watched_again(site: Site) -> None:
    async def work(_watch: Watch, seen: asyncio.Queue[tuple[str, ...]]) -> None:
        folder = os.path.dirname(site.live("conf.d/up.conf"))
        os.rename(folder, f"{folder}.old")
        os.mkdir(folder)
        while await seen.get() != ("conf.d/up.conf",):
            pass
        rewrite(site.live("conf.d/up.conf"), "one")
        while await seen.get() != ():
            pass

    watched(site, work)


def test_what_we_do_ourselves_is_no_edit_and_theirs_meanwhile_is_found(site: Site) -> None:
    async def work(watch: Watch, seen: asyncio.Queue[tuple[str, ...]]) -> None:
        watch.pause()
        await asyncio.to_thread(apply, site, "two")
        watch.resume()
        assert await seen.get() == ()
        watch.pause()
        await asyncio.to_thread(apply, site, "three")
        in_place(site.live("nginx.conf"))
        watch.resume()
        assert await seen.get() == ("nginx.conf",)

    watched(site, work)


def test_without_inotify_it_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_events: int) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("pillion.proxies.files.foreign.Inotify", none_left)

    async def go() -> None:
        watch = Watch(site, lambda: None)
        watch.begin(NAMES)
        assert "raise fs.inotify.max_user_instances" in watch.blind
        watch.resume()
        watch.close()

    asyncio.run(go())
