"""Files that Pillion has compressed beforehand, as nginx serves them, and the task that keeps them level with the root."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
from typing import TYPE_CHECKING

import brotli

from instance import wait_for
from offload_running import Offloaded
from pillion.base.tasks import RootTasks
from pillion.proxies.offload import tree as offload_tree
from pillion.proxies.offload.service import Precompression
from pillion.settings.offload import Offload

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from pillion.proxies.offload.compress import Report

TEXT = b"export const answer = 42;\n" * 400
CODINGS = {"gzip": gzip.decompress, "br": brotli.decompress}


def check(front: Offloaded, path: str, content: bytes, *, beforehand: bool) -> None:
    """That every client gets `content`, and those that take br get it only where it was compressed beforehand."""
    assert front.ask(path).body == content
    for coding, undo in CODINGS.items():
        got = front.ask(path, headers={"Accept-Encoding": coding})
        if coding == "br" and not beforehand:
            assert (got.get("Content-Encoding"), got.body) == (None, content)
            continue
        assert got.get("Content-Encoding") == coding
        assert undo(got.body) == content
        # On the way, the length is not known beforehand and the tag is weak.
        assert (got.get("Content-Length") is not None) == beforehand
        assert got.get("Vary") == "Accept-Encoding"
        assert got.get("Cache-Control") == front.ask(path).get("Cache-Control")
        assert (
            front.ask(
                path, headers={"Accept-Encoding": coding, "If-None-Match": got.get("ETag") or ""}
            ).status
            == 304
        )


async def holds(what: str, look: Callable[[], bool]) -> None:
    """Wait, with a bound, until `look` holds; the server is asked meanwhile, not the clock."""
    for _ in range(2000):
        if await asyncio.to_thread(look):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not in time: {what}")


def test_compressed_when_they_come_and_never_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offload_tree, "SETTLE_S", 0.05)
    reports: list[Report] = []
    with Offloaded(precompress=True) as front:
        front.put("app.3f2a9c1d.js", TEXT)
        front.put("style.css", TEXT)
        front.put("gone.css", TEXT)
        front.put("index.html", TEXT)
        front.start()
        check(front, "/style.css", TEXT, beforehand=False)

        async def run() -> None:
            tasks = RootTasks(lambda end: reports.append(end))  # type: ignore[arg-type]
            made = Precompression(
                Offload(root=front.root, precompress=True),
                front.facts.places,
                tasks,
                brotli=True,
                told=reports.append,
            )

            async def comes(path: str, content: bytes) -> None:
                for coding in CODINGS:
                    await holds(
                        f"{path} is compressed with {coding}",
                        lambda coding=coding: beforehand(front, path, coding, content),  # type: ignore[misc]
                    )

            for path in ("/app.3f2a9c1d.js", "/style.css", "/gone.css"):
                await comes(path, TEXT)
                await asyncio.to_thread(check, front, path, TEXT, beforehand=True)
            # The entry page is never one that was compressed before.
            await asyncio.to_thread(check, front, "/index.html", TEXT, beforehand=False)
            # A deployment: a directory that is new, files replaced by rename, one written over, one gone.
            front.put("assets/new.0a1b2c3d.css", TEXT)
            front.put("style.css", TEXT[::-1])
            os.unlink(os.path.join(front.root, "gone.css"))
            await comes("/assets/new.0a1b2c3d.css", TEXT)
            await comes("/style.css", TEXT[::-1])
            await holds("the plain one too", lambda: front.ask("/style.css").body == TEXT[::-1])
            await asyncio.to_thread(check, front, "/style.css", TEXT[::-1], beforehand=True)
            await holds(
                "what is gone is the app's",
                lambda: front.ask("/gone.css", headers={"Accept-Encoding": "br"}).body == b"app",
            )
            made.close()
            assert await tasks.close(5) == ()

        asyncio.run(run())
        assert not [one.trouble for one in reports if one.trouble]
        # Without anybody: what is there is served.
        check(front, "/style.css", TEXT[::-1], beforehand=True)
        shutil.rmtree(front.facts.places.compressed)
        for coding in CODINGS:
            wait_for(
                f"what is gone is served no longer with {coding}",
                lambda coding=coding: not beforehand(front, "/style.css", coding, TEXT[::-1]),  # type: ignore[misc]
            )
        check(front, "/style.css", TEXT[::-1], beforehand=False)


def beforehand(front: Offloaded, path: str, coding: str, content: bytes) -> bool:
    """Whether a client that takes this coding gets `content` as it was compressed beforehand."""
    got = front.ask(path, headers={"Accept-Encoding": coding})
    return (
        got.get("Content-Encoding") == coding
        and got.get("Content-Length") is not None
        and CODINGS[coding](got.body) == content
    )


def test_a_page_that_is_not_to_be_kept_is_always_the_present_one() -> None:
    with Offloaded(precompress=True, cache_s=0.0) as front:
        front.put("style.css", TEXT)
        # What an earlier setting has left is not looked at.
        front.put("style.css.br", brotli.compress(b"old"), root=front.facts.places.compressed)
        front.start()
        got = front.ask("/style.css", headers={"Accept-Encoding": "br"})
        assert (got.body, got.get("Cache-Control")) == (TEXT, "no-cache")
