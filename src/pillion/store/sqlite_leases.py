"""Leases without a renewal ever written: their time is watched by the engine that holds them, their holder's life by everybody.

A lease ends in one of two ways. Its time runs out: the engine of the granting session sees to that, with a monotonic timer.
Or the session is gone, which every other engine hears; each waits a moment by chance, so that one does the work and the others find
it done.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import TYPE_CHECKING, Protocol, TypeVar

from pillion.errors import PillionError
from pillion.store.interface import (
    LEASE_EXPIRED,
    LEASE_REVOKED,
    SESSION_ENDED,
    StoreFullError,
    StoreUnavailableError,
)
from pillion.store.sqlite_writing import Lease, Transaction, has_lease, holders, leases_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Coroutine

    from pillion.base.tasks import RootTasks
    from pillion.store.rows import Holder
    from pillion.store.sessions import Sessions

    T = TypeVar("T")

    class Access(Protocol):
        """The store file, from the loop."""

        async def reading(self, work: Callable[[sqlite3.Connection], T]) -> T:
            """Do `work` in the thread."""

        async def writing(self, work: Callable[[Transaction], T]) -> T:
            """Do `work` in a transaction."""


MOST_LEASES = 10_000
# A timer that is this late means that the process was stopped: its clients could not renew either.
_LATE_S = 0.5
_GRACE_S = 2.0
_AGAIN_S = 1.0
_JITTER_PER_SESSION_S, _MOST_JITTER_S = 0.005, 1.0


class _Watched:
    __slots__ = ("due", "timer", "ttl_s")

    def __init__(self, ttl_s: float, due: float, timer: asyncio.TimerHandle) -> None:
        self.ttl_s = ttl_s
        self.due = due
        self.timer = timer


class Leases:
    """The leases of one engine; `access` reads and writes the store, `sessions` knows who lives."""

    def __init__(self, access: Access, sessions: Sessions, tasks: RootTasks) -> None:
        self._access = access
        self._sessions = sessions
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._engine = uuid.uuid4().hex
        self._watched: dict[str, _Watched] = {}
        # Their time is over, and they are being ended: nobody can renew them any more.
        self._ending: set[str] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._closed = False

    def __len__(self) -> int:
        """How many leases are watched here."""
        return len(self._watched)

    async def grant(self, ttl_s: float) -> str:
        """See `Store.grant`."""
        if ttl_s <= 0:
            raise ValueError(f"cannot grant a lease for {ttl_s:g} s; give it a positive time")
        if len(self._watched) >= MOST_LEASES:
            raise StoreFullError(f"cannot grant a lease: {MOST_LEASES} are held here; revoke some")
        lease = Lease(uuid.uuid4().hex, self._sessions.own, ttl_s, self._engine)
        await self._access.writing(lambda transaction: transaction.grant(lease))
        self._watch(lease.id, ttl_s)
        return lease.id

    async def keep_alive(self, lease: str) -> bool:
        """See `Store.keep_alive`. Only the session that it was granted to renews a lease."""
        if lease in self._ending:
            return False
        try:
            holder = await self._access.reading(lambda db: has_lease(db, lease))
        except StoreUnavailableError:
            return self._renew(lease)
        if holder is None:
            self._forget(lease)
            return False
        if not self._renew(lease):
            if holder != self._sessions.own:
                return False
            await self.adopt()
        return True

    async def revoke(self, lease: str) -> None:
        """See `Store.revoke`."""
        await self._access.writing(
            lambda transaction: transaction.end_lease(lease, writer=LEASE_REVOKED)
        )
        self._forget(lease)

    async def adopt(self) -> None:
        """Watch the leases of our own session, which an engine before us has granted, with a fresh time."""
        if self._closed:
            return  # a successor does
        own = self._sessions.own
        leases = await self._access.reading(lambda db: leases_of(db, own))
        present = {lease.id for lease in leases}
        for gone in [lease for lease in self._watched if lease not in present]:
            self._forget(gone)
        if any(lease.engine != self._engine for lease in leases):
            await self._access.writing(lambda transaction: transaction.adopt(own, self._engine))
        for lease in leases:
            if lease.id not in self._watched and lease.id not in self._ending:
                self._watch(lease.id, lease.ttl_s)

    async def end_dead(self) -> None:
        """End the leases of every session that is gone for certain."""
        known = await self._access.reading(holders)
        for holder in known - self._sessions.known():
            if self._sessions.dead(holder):
                await self.end_of(holder)

    async def end_of(self, holder: Holder) -> None:
        """End the leases of a session that is gone; nothing when somebody else has."""
        if await self._access.reading(lambda db: leases_of(db, holder)):
            await self._access.writing(
                lambda transaction: transaction.end_leases_of(holder, writer=SESSION_ENDED)
            )

    def gone(self, holder: Holder) -> None:
        """A session is gone: end its leases in a moment, if nobody else has by then."""
        most = min(_MOST_JITTER_S, _JITTER_PER_SESSION_S * self._sessions.count)
        self._later(random.uniform(0, most), lambda: self._start(self._end_gone(holder)))

    def look(self) -> None:
        """The store is there, or back, or something was missed: see to our own leases and to those of the dead."""
        self._start(self._look())

    def close(self) -> None:
        """Watch no longer; the leases stay, for a successor or until the session ends."""
        self._closed = True
        for watched in self._watched.values():
            watched.timer.cancel()
        self._watched.clear()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    async def _look(self) -> None:
        try:
            await self.adopt()
            await self.end_dead()
        except StoreUnavailableError:
            return  # looked for again when it is back

    async def _end_gone(self, holder: Holder) -> None:
        try:
            await self.end_of(holder)
        except StoreUnavailableError:
            return

    # Time.

    def _watch(self, lease: str, ttl_s: float) -> None:
        if self._closed:
            return
        self._forget(lease)
        due = self._loop.time() + ttl_s
        timer = self._loop.call_at(due, self._due, lease)
        self._watched[lease] = _Watched(ttl_s, due, timer)

    def _renew(self, lease: str) -> bool:
        """A later due time; the timer finds out by itself."""
        watched = self._watched.get(lease)
        if watched is None:
            return False
        watched.due = self._loop.time() + watched.ttl_s
        return True

    def _due(self, lease: str) -> None:
        watched = self._watched[lease]
        now = self._loop.time()
        if now - watched.timer.when() > _LATE_S:
            watched.due = max(watched.due, now + min(watched.ttl_s, _GRACE_S))
        if watched.due > now:
            watched.timer = self._loop.call_at(watched.due, self._due, lease)
            return
        self._ending.add(lease)
        self._forget(lease)
        self._start(self._expire(lease))

    async def _expire(self, lease: str) -> None:
        try:
            await self._access.writing(
                lambda transaction: transaction.end_lease(
                    lease, writer=LEASE_EXPIRED, engine=self._engine
                )
            )
        except StoreUnavailableError:
            # It has ended all the same; only its keys are still there.
            self._later(
                random.uniform(0.5, 1.0) * _AGAIN_S,
                lambda: self._start(self._expire(lease)),
            )
            return
        self._ending.discard(lease)

    def _forget(self, lease: str) -> None:
        watched = self._watched.pop(lease, None)
        if watched is not None:
            watched.timer.cancel()

    def _later(self, wait_s: float, function: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            function()

        if not self._closed:
            timer = self._loop.call_later(wait_s, run)
            self._timers.add(timer)

    def _start(self, coroutine: Coroutine[None, None, None]) -> None:
        try:
            self._tasks.start("store leases", coroutine, may_end=True)
        except PillionError:
            return  # the process is ending
