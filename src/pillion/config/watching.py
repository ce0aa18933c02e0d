"""Waiting for changes: a long poll that never spins, and a stream that misses nothing wherever it was cut."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from pillion.config.follower import Follower, Phase
from pillion.config.keys import ROOT
from pillion.config.past import replay
from pillion.store.interface import CompactedError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pillion.config.replica import Replica
    from pillion.config.ring import Event, Selection
    from pillion.store.interface import Store

REPLAYS = 4
"""Of the store's history at once; others wait for their turn."""
ASK_S = 2.0
AGAIN_S = 0.2


class Watching:
    """The watchers of one instance's configuration."""

    def __init__(self, store: Store, replica: Replica) -> None:
        self._store = store
        self._replica = replica
        self._replays = asyncio.Semaphore(REPLAYS)
        self.resets = 0
        self.replayed = 0

    async def poll(self, selection: Selection, since: int | None, within_s: float) -> None:
        """Wait until what `selection` sees has changed after revision `since` (None: from now on), at most `within_s` seconds.

        A key is waited for as long as its item has the revision `since`: who knows only the item's revision, and not
        how far the store had come, does not get the same item again and again. A revision ahead of the store is
        answered at once.
        """
        tree, ring = self._replica.tree, self._replica.feed.ring
        loop = asyncio.get_running_loop()
        end = loop.time() + within_s
        if since is None:
            since = tree.revision
        if since > tree.revision and not await self._has_come_to(since):
            return
        while True:
            if ring.changed(since, selection) is not False and not self._is_at(selection, since):
                return
            left = end - loop.time()
            if left <= 0:
                return
            await self._replica.feed.wait(selection, ring.end, left)

    async def follow(
        self, selection: Selection, last: int | None
    ) -> AsyncGenerator[list[Event], None]:
        """Tell a watcher that has seen everything up to `last` (None: nothing) what there is and what comes, without end."""
        replica = self._replica
        follower = Follower(replica.tree, replica.feed.ring, selection, last)
        if last is not None and follower.ahead:
            await self._catch_up_with(follower, last)
        while True:
            if follower.phase is Phase.HISTORY:
                async with aclosing(self._history(follower)) as told:
                    async for events in told:
                        yield events
            events = follower.take()
            if events:
                if events[0].kind == "reset":
                    self.resets += 1
                yield events
            if events or follower.phase is Phase.HISTORY:
                continue
            cursor = await replica.feed.wait(selection, follower.cursor, None)
            follower.stands_at(cursor)

    async def _history(self, follower: Follower) -> AsyncGenerator[list[Event], None]:
        """What the follower has missed, from the store's own history, up to where the ring takes over."""
        scopes = self._replica.tree.scopes
        async with self._replays:
            try:
                source = replay(self._store, scopes, follower.selection, follower.cursor)
                async with aclosing(source) as pieces:
                    async for revision, groups in pieces:
                        events = [e for group in groups for e in follower.replayed(group)]
                        self.replayed += len(events)
                        done = follower.caught_up(revision)
                        if events:
                            yield events
                        if done:
                            return
            except (CompactedError, ValueError, StoreUnavailableError):
                # Forgotten, another store, or none at all: what is here is all that can be told.
                follower.begin_anew()

    async def _catch_up_with(self, follower: Follower, last: int) -> None:
        """Find out whether the store has come to what the watcher has seen: ours may lag behind it, or be another store."""
        while True:
            try:
                revision, _ = await self._store.read(ROOT)
            except StoreUnavailableError:
                # It has seen more than we have; telling it what was before would be going back.
                await asyncio.sleep(AGAIN_S)
                await self._replica.current.wait()
                continue
            if revision < last:
                follower.begin_anew()
            return

    async def _has_come_to(self, revision: int) -> bool:
        try:
            async with asyncio.timeout(ASK_S):
                now, _ = await self._store.read(ROOT)
        except (StoreUnavailableError, TimeoutError):
            return False
        return now >= revision

    def _is_at(self, selection: Selection, revision: int) -> bool:
        """Whether the one key that is selected has an item of that very revision."""
        if selection.key is None:
            return False
        item = self._replica.tree.item(selection.key, selection.layer)
        return item is not None and item.revision == revision
