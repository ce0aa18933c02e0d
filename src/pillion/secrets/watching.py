"""Wakes those who wait for a secret to change: by inotify while somebody waits, by nothing at all while nobody does.

inotify has few instances for each user, and knows nothing of what happens on a network file system: without it those who
wait look every second, and in any case they look again with every comment of their stream.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from pillion.base.inotify import CHANGES, Inotify

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

POLL_S = 1.0
# Reports come in bursts: the rename of a link, the removal of what it led to.
GATHER_S = 0.03
MOST_DIRECTORIES = 2048


class Watcher:
    """Create it inside the running loop; enter it for each waiter. `generation` grows when something may have changed.

    A waiter notes `generation`, looks, and waits with what it noted: a change in between ends the wait at once.
    """

    def __init__(self, *, use_inotify: bool = True) -> None:
        self._loop = asyncio.get_running_loop()
        self._use_inotify = use_inotify
        self._inotify: Inotify | None = None
        self._watched: set[str] = set()
        self._blind = False
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self.waiters = 0
        self.generation = 0

    @property
    def polls(self) -> bool:
        """Whether changes are found by looking, at least for some."""
        return self.waiters > 0 and (self._inotify is None or self._blind)

    def __enter__(self) -> Self:
        self.waiters += 1
        if self.waiters == 1 and self._use_inotify:
            try:
                self._inotify = Inotify(CHANGES)
            except OSError:
                return self  # no instance left: look every second
            self._loop.add_reader(self._inotify.fd, self._reported)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.waiters -= 1
        if not self.waiters:
            self._rest()

    def watch(self, directories: Iterable[str]) -> None:
        """Have changes in `directories` reported while there is a waiter; again after each, as they may be others."""
        if self._inotify is None:
            return
        for directory in directories:
            # One that was replaced has the same name and needs a new watch; the old one costs a call.
            if len(self._watched) >= MOST_DIRECTORIES or not self._inotify.watch(directory):
                self._blind = True
            else:
                self._watched.add(directory)

    async def wait(self, generation: int, timeout_s: float) -> bool:
        """Wait until something may have changed since `generation`, at most `timeout_s` seconds; True when so.

        Without inotify it may have after each second.
        """
        if self.generation != generation:
            return True
        polls = self.polls and timeout_s > POLL_S
        waiting: asyncio.Future[None] = self._loop.create_future()
        self._waiting.add(waiting)
        timer = self._loop.call_later(POLL_S if polls else timeout_s, _resolve, waiting)
        try:
            await waiting
        finally:
            timer.cancel()
            self._waiting.discard(waiting)
        return polls or self.generation != generation

    def wake(self) -> None:
        """End every wait now: the settings name other secrets, or this agent goes."""
        self.generation += 1
        for waiting in self._waiting:
            _resolve(waiting)

    def _reported(self) -> None:
        assert self._inotify is not None
        self._loop.remove_reader(self._inotify.fd)
        self._timer = self._loop.call_later(GATHER_S, self._gathered)

    def _gathered(self) -> None:
        self._timer = None
        if self._inotify is not None:
            self._inotify.drain()
            self._loop.add_reader(self._inotify.fd, self._reported)
        self.wake()

    def _rest(self) -> None:
        """Nobody waits any more: give everything back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._inotify is not None:
            self._loop.remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None
        self._watched.clear()
        self._blind = False


def _resolve(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
