"""Those who look who holds a lock: told of each change, however many come between two looks, and woken by nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pillion.store.interface import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pillion.locks.board import Board
    from pillion.locks.following import Following
    from pillion.locks.record import Holding
    from pillion.store.interface import Store


class Observers:
    """Create it inside the running loop. The board is followed while somebody observes."""

    def __init__(self, store: Store, board: Board, following: Following) -> None:
        self._store = store
        self._board = board
        self._following = following
        self._loop = asyncio.get_running_loop()
        self._waiting: set[asyncio.Future[None]] = set()
        self._closed = False

    def wake(self) -> None:
        """The board has changed."""
        for waiting in tuple(self._waiting):
            if not waiting.done():
                waiting.set_result(None)

    def close(self) -> None:
        """End every observation."""
        self._closed = True
        self.wake()

    async def observe(
        self, subject: str, token: int | None, look_s: float
    ) -> AsyncGenerator[Holding | None, None]:
        """Who holds it (None: nobody), and again whenever that, or what it tells, is another; without end.

        With `token` not before the token is another than that; 0 is the token of nobody. With the store away at first,
        `StoreUnavailableError` after `look_s` seconds.
        """
        self._following.join()
        known: tuple[int, int] | None = None
        try:
            while not self._closed:
                if self._board.is_loaded:
                    holding = self._board.first(subject)
                    now = (0, 0) if holding is None else (holding.token, holding.revision)
                    is_news = now != known and (known is not None or now[0] != token)
                    known = now
                    if is_news:
                        yield holding
                        continue
                await self._change(subject, look_s if known is None else None)
        finally:
            self._following.leave()

    async def _change(self, subject: str, within_s: float | None) -> None:
        waiting: asyncio.Future[None] = self._loop.create_future()
        self._waiting.add(waiting)
        try:
            await asyncio.wait_for(waiting, within_s)
        except TimeoutError as error:
            why = self._store.health.reason or "the store does not answer"
            raise StoreUnavailableError(
                f"cannot tell who holds {subject}: {why}; try again"
            ) from error
        finally:
            self._waiting.discard(waiting)
