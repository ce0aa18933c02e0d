"""Wakes readers when the spool grows: inotify where it can be had, else a poll that slows down while nothing happens.

inotify costs nothing while idle and has no latency, but its instances are few for each user (128 by default, and a
host may run 200 instances of Pillion), and network file systems do not report. So every wait also ends after a time, and
reports are taken at most fifty times a second: a busy writer makes thousands.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Self

from pillion.base.inotify import GROWTH, Inotify

if TYPE_CHECKING:
    from types import TracebackType

PAUSE_S = 0.02
FASTEST_POLL_S = 0.05
MOST_WATCHES = 4096


class Waker:
    """Create it inside the running loop. `generation` grows with every report of growth.

    A reader notes `generation`, reads until there is nothing more, and waits with what it noted: growth in
    between ends the wait at once.
    """

    def __init__(self, *, use_inotify: bool = True) -> None:
        self._loop = asyncio.get_running_loop()
        self.generation = 0
        self.poll_s = FASTEST_POLL_S
        self._watched: set[str] = set()
        self._waiting: set[asyncio.Future[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._inotify: Inotify | None = None
        if use_inotify:
            try:
                self._inotify = Inotify(GROWTH)
            except OSError:
                return  # quota of instances: poll
            self._loop.add_reader(self._inotify.fd, self._reported)

    @property
    def polls(self) -> bool:
        """Whether growth is found by looking, not by being told."""
        return self._inotify is None

    def watch(self, directory: str) -> bool:
        """Watch one directory; True when that is new, so that what grew before is to be looked for.

        Without inotify, or when that refuses, the timed waits have to do.
        """
        if (
            self._inotify is None
            or directory in self._watched
            or len(self._watched) >= MOST_WATCHES
            or not self._inotify.watch(directory)
        ):
            return False
        self._watched.add(directory)
        return True

    def watch_tree(self, directory: str, depth: int = 2) -> None:
        """Watch `directory` and its subdirectories down to `depth` levels."""
        self.watch(directory)
        if depth == 0:
            return
        try:
            with os.scandir(directory) as entries:
                names = [entry.path for entry in entries if entry.is_dir()]
        except OSError:
            return  # not there (yet); the timed waits see it when it is
        for name in names:
            self.watch_tree(name, depth - 1)

    async def wait(self, generation: int, timeout_s: float) -> bool:
        """Wait for growth since `generation`, at most `timeout_s` seconds; True when growth was reported.

        Without inotify the wait is shorter: 50 ms after growth, doubled with every idle wait up to `timeout_s`.
        """
        if self.generation != generation:
            self.poll_s = FASTEST_POLL_S
            return True
        if self._inotify is None:
            timeout_s = min(timeout_s, self.poll_s)
            self.poll_s = min(self.poll_s * 2, 1.0)
        waiting: asyncio.Future[None] = self._loop.create_future()
        self._waiting.add(waiting)
        timer = self._loop.call_later(timeout_s, _resolve, waiting)
        try:
            await waiting
        finally:
            timer.cancel()
            self._waiting.discard(waiting)
        return self.generation != generation

    def wake(self) -> None:
        """End every wait now."""
        self.generation += 1
        for waiting in self._waiting:
            _resolve(waiting)

    def grew(self) -> None:
        """Tell a polling waker that its reader found something: look again soon."""
        self.poll_s = FASTEST_POLL_S

    def _reported(self) -> None:
        assert self._inotify is not None
        self._loop.remove_reader(self._inotify.fd)
        self._inotify.drain()
        self._again = self._loop.call_later(PAUSE_S, self._listen)
        self.wake()

    def _listen(self) -> None:
        self._again = None
        if self._inotify is not None:
            self._loop.add_reader(self._inotify.fd, self._reported)

    def close(self) -> None:
        """Stop watching."""
        if self._again is not None:
            self._again.cancel()
        if self._inotify is not None:
            self._loop.remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None
        self.wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _resolve(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
