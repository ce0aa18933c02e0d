"""Has files compressed when they come or change: it sleeps until something happens below the root, and an idle site costs nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from pillion.base.inotify import CHANGES, Inotify
from pillion.proxies.offload.compress import Compressor, Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.base.tasks import RootTasks
    from pillion.proxies.offload.facts import OffloadPlaces
    from pillion.settings.offload import Offload

_LOWEST = 19
MOST_WATCHED = 2000
"""Directories; a user has 8192 watches in many places (inotify(7))."""


class Precompression:
    """The task that keeps the compressed tree level with the root; create it in the loop. `told` gets the report of each run.

    Where there is no inotify, names without a hash are left to compression on the way: nobody would notice that they have changed.
    """

    def __init__(
        self,
        settings: Offload,
        places: OffloadPlaces,
        tasks: RootTasks,
        *,
        brotli: bool,
        told: Callable[[Report], None],
    ) -> None:
        self._root = os.path.abspath(settings.root)
        self._told = told
        self._ending = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._watch = self._watching()
        hashed = re.compile(settings.hashed)
        # A file that is not to be kept is never one that may be a moment old.
        self._every = settings.cache_s >= 1 and self._watch is not None
        self._watched: set[tuple[int, int]] = set()
        self._compressor = Compressor(
            self._root,
            places.compressed,
            places.compressed_index,
            lambda path: self._every or hashed.search(f"/{path}") is not None,
            codings=("gz", "br") if brotli else ("gz",),
            stopped=self._ending.is_set,
        )
        self._thread = ThreadPoolExecutor(1, "offload-compress", initializer=_be_last)
        self._task = tasks.start("offload: compress", self._run())

    def close(self) -> None:
        """End; a piece that is being compressed is finished, which may take half a second, in its thread."""
        self._ending.set()
        self._task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._watch is not None:
            self._loop.remove_reader(self._watch.fd)
            self._watch.close()
            self._watch = None

    def _watching(self) -> Inotify | None:
        try:
            watch = Inotify(CHANGES)
        except OSError:
            return None
        self._loop.add_reader(watch.fd, self._notice)
        return watch

    def _notice(self) -> None:
        assert self._watch is not None
        self._watch.drain()
        self._changed.set()

    async def _run(self) -> None:
        while True:
            # Before the listing: what changes while it is made is seen in the next one.
            self._changed.clear()
            self._watch_links()
            report = await self._loop.run_in_executor(self._thread, self._compressor.run)
            # Directories that are new may have got files before they were watched.
            if self._watch_directories(report.directories):
                self._changed.set()
            self._told(report)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(report.later_s):
                    await self._changed.wait()

    def _watch_links(self) -> None:
        """A root that is a link, or is replaced as a whole, changes in the directory that it stands in."""
        path = self._root
        places = [os.path.dirname(path)]
        while path != "/":
            if os.path.islink(path):
                places.append(os.path.dirname(path))
            path = os.path.dirname(path)
        for place in places:
            if self._watch is not None:
                self._watch.watch(place)

    def _watch_directories(self, directories: tuple[str, ...]) -> bool:
        """Whether something may have gone unseen, so that another look is due."""
        if self._watch is None:
            return False
        found: set[tuple[int, int]] = set()
        complete = len(directories) <= MOST_WATCHED
        for directory in directories[:MOST_WATCHED]:
            complete = self._watch.watch(directory) and complete
            with contextlib.suppress(OSError):
                status = os.stat(directory)
                found.add((status.st_dev, status.st_ino))
        new = not found <= self._watched
        self._watched = found
        if self._every and not complete:
            # Changes of names without a hash would not be noticed.
            self._every = False
            return True
        return new


def _be_last() -> None:
    # On Linux this is the thread's own (setpriority(2), "C library/kernel differences").
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)
