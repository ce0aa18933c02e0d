"""Follows the store: what the layers of this instance say, held in memory, and for how long that has not been certain.

Reads are answered from here alone. The store is asked once for everything, and from then on tells its changes; when
it has forgotten where we were, everything is taken anew, and the difference told to those who watch.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from itertools import groupby
from typing import TYPE_CHECKING

from pillion.config.feed import Feed
from pillion.config.keys import SCHEMAS
from pillion.config.schemas import Schemas
from pillion.config.tree import Tree
from pillion.store.interface import CompactedError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.config.keys import Scopes
    from pillion.config.known import Known
    from pillion.config.ring import Selection
    from pillion.config.tree import Step
    from pillion.store.interface import Change, Changes, Entry, Health, Store

LOOK_AGAIN_S = 5.0
"""While the store is away it says itself when it is back; this is for one that does not."""
FIRST_S = 0.5
"""For the store to be opened, at our own start."""
CONFIRM_S = 1.0
CONFIRM_TRIES = 3
_TRIES = 10


class Replica:
    """The tree, its schemas and its feed, kept up with `store`; make it in the loop, and run `run` and `confirm` as tasks.

    `tried` is set once the store has been asked for the first time, whatever came of it. `on_steps` are called with the
    steps of every revision when they hold, also with none when only a schema has changed.
    """

    def __init__(
        self, store: Store, scopes: Scopes, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.tree = Tree(scopes)
        self.schemas = Schemas()
        self.feed = Feed()
        self.identity = ""
        self.loaded = False
        self.tried = asyncio.Event()
        self.snapshots = 0
        self.revision_field = (b"pillion-revision", b"0")
        self.revision_line = b"pillion-revision: 0\r\n"
        self.stale_since: float | None = clock()
        self.on_steps: list[Callable[[list[Step]], None]] = []
        self._clock = clock
        self._store = store
        self._scopes = scopes
        self._prefixes = (*scopes.prefixes.values(), SCHEMAS)
        self._usable = asyncio.Event()
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._doubt = 0
        self._another = False
        self._following = False
        self._confirm_wanted = asyncio.Event()
        self.current = asyncio.Event()

    @property
    def fresh(self) -> bool:
        """Whether reads hold without a mark."""
        return self.loaded and self.stale_since is None

    def stale_s(self) -> int | None:
        """Whole seconds since what is here was known to be current; None while it is."""
        if self.stale_since is None:
            return None
        return max(0, int(self._clock() - self.stale_since))

    def load(self, known: Known) -> None:
        """Begin with the last known good, stale until the store has said something."""
        self.identity = known.identity
        self._become(known.entries, known.revision)
        self.stale_since = self._clock() - known.age_s

    async def run(self) -> None:
        """Follow the store until cancelled."""
        self._store.on_health(self._health)
        try:
            await self._follow()
        finally:
            self._unsettle()  # nobody looks any more

    async def _follow(self) -> None:
        failures = 0
        while True:
            try:
                self._adopt(*await self._everything())
                self._settle()
                after = self.tree.revision
                self._following = True
                async with aclosing(self._store.watch(self._prefixes, after)) as changes:
                    async for some in changes:
                        self._apply(some)
            except CompactedError as error:
                self._following = False
                self._unsettle()
                # Not too old, and refused all the same: its revisions are not the ones that we know.
                self._another = error.revision >= error.compacted
            except StoreUnavailableError:
                self._following = False
                self._unsettle()
                failures += 1
                if failures > 1:  # the first may only have come before the store was opened
                    self.tried.set()
                await self._until_usable(LOOK_AGAIN_S if failures > 1 else FIRST_S)

    async def confirm(self) -> None:
        """Whenever the store is said to be back: see that we have all of it, and only then say that we are current."""
        while True:
            await self._confirm_wanted.wait()
            self._confirm_wanted.clear()
            if not self._following or self.stale_since is None:
                continue  # everything is about to be taken anyway, or nothing is in doubt
            doubt = self._doubt
            try:
                await self._see_that_we_agree()
            except StoreUnavailableError:
                if self._store.health.readable:
                    # It says that it works, and does not: no word of it will wake us.
                    await asyncio.sleep(LOOK_AGAIN_S)
                    self._confirm_wanted.set()
                continue
            if doubt == self._doubt:
                self._settle()

    async def _see_that_we_agree(self) -> None:
        """The watch brings what we missed, one by one; only if it does not, everything is taken anew."""
        for _ in range(CONFIRM_TRIES):
            entries, revision = await self._everything()
            if self.loaded and self.tree.agrees(entries) and self.schemas.agrees(entries):
                return
            newest = max((entry.revision for entry in entries), default=0)
            await self.reach(max(newest, self.tree.revision + 1), CONFIRM_S)
        self._adopt(entries, revision)

    async def agrees(self, selection: Selection) -> bool:
        """Whether the store has just what is here of the selected keys; waits a moment for what it has more."""
        for _ in range(CONFIRM_TRIES):
            entries: list[Entry] = []
            for layer, prefix in self._scopes.prefixes.items():
                if selection.layer in (None, layer):
                    entries += (await self._store.range(prefix + selection.covers)).entries
            if self.tree.agrees(entries, selection.covers, selection.layer):
                return True
            newest = max((entry.revision for entry in entries), default=0)
            await self.reach(max(newest, self.tree.revision + 1), CONFIRM_S)
        return False

    async def reach(self, revision: int, within_s: float) -> bool:
        """Wait until everything up to `revision` is here; False when it is not `within_s` seconds later."""
        if self.loaded and self.tree.revision >= revision:
            return True
        # What this process has written itself is on its way to us, and here when all have had their turn.
        await asyncio.sleep(0)
        if self.loaded and self.tree.revision >= revision:
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = revision
        try:
            async with asyncio.timeout(within_s):
                await future
        except TimeoutError:
            return False
        finally:
            self._waiting.pop(future, None)
        return True

    def _apply(self, some: Changes) -> None:
        for revision, changes in groupby(some.changes, key=lambda change: change.revision):
            self._take(revision, list(changes))
        self._advance(some.revision)
        if self.stale_since is not None and not self._confirm_wanted.is_set():
            self._confirm_wanted.set()

    def _take(self, revision: int, changes: list[Change]) -> None:
        if revision <= self.tree.revision:
            return
        steps = []
        changed = False
        for change in changes:
            if self.schemas.apply(change):
                changed = True
                continue
            step = self.tree.apply(change)
            if step is not None:
                steps.append(step)
        self.feed.publish(revision, steps)
        self._advance(revision)
        if steps or changed:
            self._tell(steps)

    async def _everything(self) -> tuple[list[Entry], int]:
        """All that concerns us, as of one revision."""
        for left in range(_TRIES, 0, -1):
            first = await self._store.range(self._prefixes[0])
            entries = list(first.entries)
            try:
                for prefix in self._prefixes[1:]:
                    entries += (await self._store.range(prefix, at=first.revision)).entries
            except (CompactedError, ValueError):
                # Forgotten, or another store, between two questions.
                if left == 1:
                    raise StoreUnavailableError(
                        "cannot read the store as of one revision: it forgets too fast; raise store.history"
                    ) from None
                continue
            return entries, first.revision
        raise AssertionError

    def _adopt(self, entries: list[Entry], revision: int) -> None:
        self.snapshots += 1
        if not self.loaded:
            self.identity = self._store.identity
            self._become(entries, revision)
            self._tell([])
        else:
            before = self.tree.revision
            generation = self.schemas.generation
            steps = self.tree.adopt(entries, revision)
            self.schemas.adopt(entries)
            another = self._another or (
                bool(self.identity) and self._store.identity != self.identity
            )
            if another or revision < before or (steps and revision == before):
                self.feed.begin(revision)
            elif revision > before:
                self.feed.skip(revision)
            self._advance(revision, back=True)
            if another or steps or generation != self.schemas.generation or revision < before:
                self._tell(steps)
        self.identity = self._store.identity
        self._another = False
        self.tried.set()

    def _become(self, entries: list[Entry], revision: int) -> None:
        self.tree.adopt(entries, revision)
        self.schemas.adopt(entries)
        self.feed.begin(revision)
        self.loaded = True
        self._advance(revision, back=True)

    def _advance(self, revision: int, *, back: bool = False) -> None:
        if revision > self.tree.revision or back:
            self.tree.revision = revision
            self.revision_field = (b"pillion-revision", b"%d" % revision)
            self.revision_line = b"pillion-revision: %d\r\n" % revision
        if self.feed.ring.end < self.tree.revision:
            self.feed.publish(self.tree.revision, ())
        for future, wanted in list(self._waiting.items()):
            if wanted <= self.tree.revision and not future.done():
                future.set_result(None)

    def _tell(self, steps: list[Step]) -> None:
        for callback in self.on_steps:
            callback(steps)

    def _health(self, health: Health) -> None:
        if health.readable and health.writable:
            self._usable.set()
            self._confirm_wanted.set()
        else:
            self._usable.clear()
            self._unsettle()

    def _settle(self) -> None:
        health = self._store.health
        if health.readable and health.writable:
            self.stale_since = None
            self.current.set()

    def _unsettle(self) -> None:
        self._doubt += 1
        self.current.clear()
        if self.stale_since is None:
            self.stale_since = self._clock()

    async def _until_usable(self, within_s: float) -> None:
        if self._store.health.readable:
            await asyncio.sleep(
                FIRST_S
            )  # it has come back between the failure and now, or only says so
            return
        self._usable.clear()
        try:
            async with asyncio.timeout(within_s):
                await self._usable.wait()
        except TimeoutError:
            return
