"""The embedded engine: one SQLite file that all instances of a user on a host share, with nothing installed and nothing polled.

What blocks is done in one thread (`worker`, `sqlite_batches`). Whoever writes rings the neighbours' bell after the commit; those who
watch one of the keys look into the table of changes (`feed`). docs/store.md says what is promised and what happens in every failure.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from pillion.errors import PillionError
from pillion.store.feed import Feed
from pillion.store.interface import Snapshot, StoreUnavailableError
from pillion.store.keys import check_key, check_value
from pillion.store.recovery import Recovery
from pillion.store.sessions import Sessions
from pillion.store.sqlite_batches import Batches, Reading, State, Writing
from pillion.store.sqlite_compaction import Kept
from pillion.store.sqlite_file import StoreFile
from pillion.store.sqlite_leases import Leases
from pillion.store.sqlite_reading import (
    compacted_revision,
    newest_revision,
    read_changes,
    read_history,
    read_key,
    read_range,
    read_range_at,
)
from pillion.store.sqlite_writing import HeldByOther, Transaction
from pillion.store.worker import Worker

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncGenerator, Callable

    from pillion.base.neighbours import Neighbours
    from pillion.base.tasks import RootTasks
    from pillion.model.stats import Stats
    from pillion.store.interface import Change, Changes, Entry, Health
    from pillion.store.rows import Batch, Held, Holder

T = TypeVar("T")

TOPIC = "store"
"""Of the neighbours' bell; the detail is `<store> <revision> <key>`, without a key when several were written."""
_CLOSE_S = 5.0
_RANG_BEFORE_US_S = 60.0


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`path` of the file; `create` allows to make it when there is none at the start; `sync` is `full` or `normal`.

    `size_bytes` bounds keys and values; the history is bounded by `revisions` and `age_s`, and gives way to them.
    """

    path: str
    create: bool = True
    sync: str = "full"
    size_bytes: int = 32 << 20
    revisions: int = 10_000
    age_s: float = 30 * 86400.0


class SqliteStore:
    """See `pillion.store.interface.Store`. Create it inside the loop that uses it; nothing is touched before `start`."""

    engine = "sqlite"

    def __init__(self, options: Options, neighbours: Neighbours, tasks: RootTasks) -> None:
        self.path = options.path
        self._neighbours = neighbours
        self._tasks = tasks
        self._batches = Batches(
            StoreFile(options.path, sync=options.sync),
            size_bytes=options.size_bytes,
            kept=Kept(options.revisions, options.age_s, options.size_bytes),
            create=options.create,
        )
        self._worker: Worker[Reading | Writing] = Worker(
            "pillion-store",
            self._batches.carry_out,
            idle=self._batches.idle,
            ended=self._batches.close,
            carried_out=self._carried_out,
            delivered=self._delivered,
            too_late=self._too_late,
        )
        self._recovery = Recovery(self._try_again)
        self._sessions = Sessions(neighbours, self._session_gone)
        self._leases = Leases(self, self._sessions, tasks)
        self._feed = Feed(self, tasks, revisions=options.revisions)
        self._state: State | None = None
        self._started = False
        self._closed = False
        neighbours.listen(TOPIC, self._rung)
        neighbours.on_doubt(self._look)

    # Life.

    @property
    def identity(self) -> str:
        """See `Store.identity`."""
        return self._state.store if self._state else ""

    @property
    def generation(self) -> int:
        """How often the store turned out to be another one than before."""
        return self._state.generation if self._state else 0

    @property
    def health(self) -> Health:
        """See `Store.health`."""
        return self._recovery.health

    @property
    def stats(self) -> Stats:
        """What it counts, for `/metrics`."""
        health = self.health
        return {
            "store_readable": int(health.readable),
            "store_writable": int(health.writable),
            "store_watchers": len(self._feed),
            "store_leases": len(self._leases),
            "store_slow_watchers_total": self._feed.slow,
            "store_refused_total": self._worker.refused,
            "store_late_total": self._worker.late,
        }

    def on_health(self, callback: Callable[[Health], None]) -> None:
        """See `Store.on_health`."""
        self._recovery.on_health(callback)

    async def start(self) -> None:
        """See `Store.start`."""
        self._started = True
        self._worker.start()
        with contextlib.suppress(StoreUnavailableError):  # `health` says so, and it is tried again
            await self._ring_for_predecessor()

    def retire(self) -> None:
        """A successor watches the leases of our session from now on."""
        self._leases.close()

    async def close(self) -> None:
        """See `Store.close`."""
        self._closed = True
        self._recovery.close()
        self._leases.close()
        await self._worker.close(_CLOSE_S)

    # Reading.

    async def read(self, key: str) -> tuple[int, Entry | None]:
        """See `Store.read`."""
        check_key(key)
        revision, held = await self.reading(lambda db: read_key(db, key))
        return revision, held.entry if held is not None and not self._is_dead(held) else None

    async def range(self, prefix: str, *, at: int | None = None) -> Snapshot:
        """See `Store.range`."""
        if at is not None:
            entries = await self.reading(lambda db: read_range_at(db, prefix, at))
            return Snapshot(at, tuple(entries))
        revision, found = await self.reading(lambda db: read_range(db, prefix))
        return Snapshot(revision, tuple(held.entry for held in found if not self._is_dead(held)))

    def watch(self, prefixes: tuple[str, ...], after: int) -> AsyncGenerator[Changes, None]:
        """See `Store.watch`."""
        return self._feed.watch(prefixes, after)

    async def history(self, key: str, *, limit: int, before: int | None = None) -> list[Change]:
        """See `Store.history`."""
        return await self.reading(lambda db: read_history(db, key, limit, before))

    async def compacted(self) -> int:
        """See `Store.compacted`."""
        return await self.reading(compacted_revision)

    async def changes(self, after: int, limit: int, prefixes: tuple[str, ...]) -> Batch:
        """The changes after a revision, for the feed."""
        return await self.reading(lambda db: read_changes(db, after, limit, prefixes))

    # Writing.

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        writer: str,
        expect: int | None = None,
        lease: str | None = None,
    ) -> int:
        """See `Store.put`."""
        check_key(key)
        check_value(key, value)

        def work(transaction: Transaction, known: frozenset[Holder]) -> int:
            return transaction.put(
                key, value, writer=writer, expect=expect, lease=lease, known=known
            )

        return await self._among_the_living(work)

    async def delete(self, key: str, *, writer: str, expect: int | None = None) -> int | None:
        """See `Store.delete`."""
        check_key(key)

        def work(transaction: Transaction, known: frozenset[Holder]) -> int | None:
            return transaction.delete(key, writer=writer, expect=expect, known=known)

        return await self._among_the_living(work)

    async def grant(self, ttl_s: float) -> str:
        """See `Store.grant`."""
        return await self._leases.grant(ttl_s)

    async def keep_alive(self, lease: str) -> bool:
        """See `Store.keep_alive`."""
        return await self._leases.keep_alive(lease)

    async def revoke(self, lease: str) -> None:
        """See `Store.revoke`."""
        await self._leases.revoke(lease)

    # The thread.

    async def reading(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in the thread and return what it does."""
        self._require_start()
        return cast("T", await self._worker.do(Reading(work)))

    async def writing(self, work: Callable[[Transaction], T]) -> T:
        """Do `work` in a transaction, perhaps with others; what it returns holds when this returns."""
        self._require_start()
        return cast("T", await self._worker.do(Writing(work)))

    async def _among_the_living(self, work: Callable[[Transaction, frozenset[Holder]], T]) -> T:
        """Write as if the keys of dead sessions had gone already."""

        def given(known: frozenset[Holder]) -> Callable[[Transaction], T]:
            return lambda transaction: work(transaction, known)

        known = frozenset({self._sessions.own})
        while True:
            try:
                return await self.writing(given(known))
            except HeldByOther as held:
                if self._sessions.dead(held.holder):
                    await self._leases.end_of(held.holder)
                else:
                    # It cannot be asked for, or has just come: what nobody knows to be dead is alive.
                    known |= {held.holder}

    def _require_start(self) -> None:
        if not self._started:
            raise StoreUnavailableError(
                "cannot use the store: this process is not in charge of it yet; try again in a moment"
            )

    def _is_dead(self, held: Held) -> bool:
        return held.holder is not None and self._sessions.dead(held.holder)

    def _carried_out(self) -> None:
        """After each batch of the thread's, in the loop, before its results are handed over."""
        state, before = self._batches.state, self._state
        if state != before:
            self._state = state
            same = before and before.readable and before.generation == state.generation
            self._stands(state, came_back=state.readable and not same)
        elif not (state.readable and state.writable):
            self._stands(state, came_back=False)

    def _delivered(self) -> None:
        """Watchers hear of a change after its writer: what has become of it is then known to both."""
        written = self._batches.take_written()
        if written:
            last = written[-1]
            self._ring(last.revision, last.key if len(written) == 1 else None)
            self._feed.wrote(written)

    def _stands(self, state: State, *, came_back: bool) -> None:
        if self._closed:
            return
        self._recovery.set(readable=state.readable, writable=state.writable, reason=state.reason)
        if came_back:
            self._leases.look()
            self._feed.look()

    def _too_late(self) -> None:
        if self._batches.state == self._state and not self._closed:
            self._recovery.set(
                readable=False,
                writable=False,
                reason=f"cannot use the store {self.path}: its disk does not answer; look at the disk",
            )
            self._state = None

    def _try_again(self) -> None:
        with contextlib.suppress(PillionError):  # the process is ending
            self._tasks.start("store recovery", self._recover(), may_end=True)

    async def _recover(self) -> None:
        """A look at the file, and a small write where only writing fails; the state that comes of it says how it went."""
        with contextlib.suppress(StoreUnavailableError):
            await self._worker.do(Reading(newest_revision, force=True))
            if not self._batches.state.writable:
                await self._worker.do(Writing(lambda transaction: transaction.probe(), force=True))

    # What neighbours tell.

    def _ring(self, revision: int, key: str | None) -> None:
        self._neighbours.ring(TOPIC, f"{self.identity} {revision}" + (f" {key}" if key else ""))

    def _rung(self, _instance: str, detail: str) -> None:
        if not self._started or self._closed:
            return
        store, _, rest = detail.partition(" ")
        number, _, key = rest.partition(" ")
        self._recovery.soon()
        # A revision says nothing about a store that is another one than ours.
        if store == self.identity and number.isascii() and number.isdigit() and len(number) < 20:
            self._feed.nudge(int(number), key or None)
        else:
            self._feed.look()

    def _look(self) -> None:
        if self._started and not self._closed:
            self._feed.look()
            self._leases.look()

    def _session_gone(self, holder: Holder) -> None:
        if self._started and not self._closed:
            # Killed, perhaps, between a commit and its bell.
            self._feed.look()
            self._leases.gone(holder)

    async def _ring_for_predecessor(self) -> None:
        """An agent before us may have been killed between a commit and its bell: ring for what is new."""

        def newest(db: sqlite3.Connection) -> tuple[int, int]:
            row = db.execute(
                "SELECT revision, time_ns FROM changes ORDER BY revision DESC LIMIT 1"
            ).fetchone()
            return row or (0, 0)

        revision, time_ns = await self.reading(newest)
        if revision and abs(time.time() - time_ns / 1e9) < _RANG_BEFORE_US_S:
            self._ring(revision, None)
