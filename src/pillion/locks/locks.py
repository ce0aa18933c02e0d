"""The locks and elections of one agent: carries out what `claims` decides, over the store and the processes of this host."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from pillion.errors import PillionError, RefusedError, UnreachableError
from pillion.locks.asking import DoubtError, HeldError, LeaseError, boot_time_s
from pillion.locks.board import Board, queues_of
from pillion.locks.claims import Claim, Claims, Confirm, End, Finish, Grant, State
from pillion.locks.following import Following
from pillion.locks.keys import Keys
from pillion.locks.lives import Lives, own_life
from pillion.locks.observing import Observers
from pillion.locks.record import Record
from pillion.store.interface import ConflictError, LeaseEndedError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pillion.base.tasks import RootTasks
    from pillion.locks.asking import Wanted
    from pillion.locks.claims import Action
    from pillion.locks.record import Holding, Life
    from pillion.store.interface import Store

# How long a request waits for an agent that has just started to look after what its predecessor held.
_TAKE_OVER_S = 5.0
_FORCED = "an operator"
# Ends that are told in the journal: the holder did not ask for them.
_UNWANTED = frozenset({End.EXPIRED, End.LIFE, End.APP, End.GONE})
# Ends after which the key is not ours to take away.
_NOT_OURS = frozenset({End.HANDED_OVER})


class Journal(Protocol):
    """Where it is told that a lock was lost."""

    def __call__(self, reason: str, data: dict[str, str | int], /) -> None:
        """Tell it."""


class Locks:
    """Create it inside the running loop; it does nothing before `enable`."""

    def __init__(
        self,
        store: Store,
        tasks: RootTasks,
        instance: str,
        run: str,
        journal: Journal,
        *,
        me: Life | None = None,
    ) -> None:
        self._store = store
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._instance = instance
        self._run = run
        self._journal = journal
        self._me = me or own_life()
        self._keys = Keys(store, instance, run, self._me)
        self.board = Board()
        self.claims = Claims(self.board)
        self._following = Following(store, self.board, tasks, self._changed)
        self._lives = Lives()
        self._app: Life | None = None
        self._answers: dict[Claim, asyncio.Future[None]] = {}
        self.observers = Observers(store, self.board, self._following)
        self._timer: asyncio.TimerHandle | None = None
        self._in_charge = asyncio.Event()
        self._ending = False
        self._handed_over = False
        self.granted = 0
        self.lost = 0
        self.waits_over = 0

    # Life.

    async def take_over(self) -> None:
        """Look after what an agent before us held: called once, when we are the one in charge.

        With the store away it goes on trying; requests wait for it with a bound.
        """
        while not self._ending and not self._in_charge.is_set():
            try:
                adopted = await self._keys.adopt()
            except StoreUnavailableError:
                await self._following.until_healthy()
                continue
            for claim in adopted:
                self._adopt(claim)
            self._in_charge.set()
            self._settle()

    @property
    def app(self) -> Life | None:
        """The app's process, None while it does not run."""
        return self._app

    def app_is(self, life: Life | None) -> None:
        """The app's process now; what was bound to another has ended."""
        self._app = life
        for claim in self.claims:
            if claim.record.bind == "app" and claim.record.life not in (None, life):
                self.claims.finish(claim, End.APP)
        self._settle()

    def disable(self) -> None:
        """Another agent looks after it all from now on, or nobody: who still waits is sent to ask again."""
        self._ending = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._following.stop()
        self._lives.close()
        for claim in self.claims:
            if claim.state is not State.HELD:
                self.claims.finish(claim, End.CLOSING)
        for action in self.claims.settle(float("-inf")):
            self._act(action)
        self.observers.close()

    # What is asked for.

    async def acquire(self, wanted: Wanted) -> Claim:
        """Hold the lock, or wait for it.

        Raises `HeldError` when the wait has passed, `RefusedError` 503 for too many claims or an agent that ends,
        `StoreUnavailableError`. Cancelled, it leaves nothing behind.
        """
        await self._until_in_charge()
        if not wanted.wait_s:
            # Whoever does not want to wait writes nothing where there is nothing to have.
            holding = await self.holder(wanted.subject)
            if holding is not None:
                raise HeldError(wanted.subject, "it is held", holding)
        claim = self._claim(wanted)
        self.claims.enter(claim)
        answer: asyncio.Future[None] = self._loop.create_future()
        self._answers[claim] = answer
        self._following.join()
        try:
            self._start(f"enter {claim.subject}", self._enter(claim))
            self._arm()
            await answer
        except asyncio.CancelledError:
            self.claims.finish(claim, End.ABANDONED)
            self._settle()
            raise
        finally:
            self._answers.pop(claim, None)
        return claim

    async def renew(
        self, subject: str, lease: str, ttl_s: float | None, value: bytes | None
    ) -> Claim:
        """Have the lease's time begin anew; nothing is written, unless a leader has another `value` to tell.

        Raises `LeaseError` when nobody holds `subject` by `lease` here, `DoubtError` when the store does not answer.
        """
        await self._until_in_charge()
        claim = await self._find(subject, lease)
        if ttl_s is not None and ttl_s != claim.record.ttl_s:
            raise RefusedError(
                422,
                "Unprocessable Content",
                f"cannot change the time of a lease: it was taken with {claim.record.ttl_s:g} s; leave ttl out",
            )
        begun_s = boot_time_s()
        try:
            alive = await self._keys.keep_alive(claim)
            if alive and value is not None and value != bytes(claim.record.value):
                await self._keys.tell(claim, value)
        except (StoreUnavailableError, LeaseEndedError, ConflictError) as error:
            raise DoubtError(
                subject, max(0.0, claim.until_s - boot_time_s()), str(error)
            ) from error
        if not alive:
            self.claims.finish(claim, End.GONE)
            self._settle()
        if not self.claims.renewed(claim, begun_s):
            raise LeaseError(subject, await self._holder_or_none(subject))
        self._arm()
        return claim

    async def release(self, subject: str, lease: str) -> None:
        """Give it up. Raises `LeaseError` when nobody holds it by `lease` here, `StoreUnavailableError`."""
        await self._until_in_charge()
        claim = await self._find(subject, lease)
        await self._keys.release(claim)
        self.claims.finish(claim, End.RELEASED)
        self._settle()

    async def force(self, subject: str) -> Holding | None:
        """Take it from whoever holds it, on any instance; None when nobody does. The holder learns it at its renewal."""
        while (holding := await self.holder(subject)) is not None:
            try:
                await self._store.delete(holding.key, writer=_FORCED, expect=holding.revision)
            except ConflictError:
                continue  # its agent was replaced in this moment
            return holding
        return None

    async def queues(self, prefix: str) -> dict[str, list[Holding]]:
        """Every queue under `prefix`, the holder first. Raises `StoreUnavailableError`."""
        return queues_of((await self._store.range(prefix)).entries)

    async def holder(self, subject: str) -> Holding | None:
        """Who holds it now. Raises `StoreUnavailableError`."""
        return next(iter((await self.queues(f"{subject}/")).get(subject, [])), None)

    # What is done for a claim.

    def _claim(self, wanted: Wanted) -> Claim:
        record = Record(
            holder=wanted.holder,
            lease=secrets.token_hex(16),
            instance=self._instance,
            run=self._run,
            agent=self._me,
            ttl_s=wanted.ttl_s,
            since_s=time.time(),
            bind=wanted.bind,
            life=wanted.life,
            value=msgspec.Raw(wanted.value),
        )
        until_s = boot_time_s() + wanted.wait_s
        return Claim(wanted.subject, secrets.token_hex(8), record, until_s)

    async def _enter(self, claim: Claim) -> None:
        begun_s = boot_time_s()
        if not self._watch_life(claim):
            return
        try:
            token = await self._keys.write(claim)
        except PillionError as error:
            if claim.state is State.ENDED:
                await self._keys.take_away(claim)
            else:
                self._fail(claim, error)
            return
        self.claims.entered(claim, token, begun_s)
        if claim.state is State.ENDED:
            await self._keys.take_away(claim)
        else:
            self._settle()

    def _watch_life(self, claim: Claim) -> bool:
        """Watch the process that the claim is bound to; False when it has ended already, and the claim with it."""
        record = claim.record
        if record.bind != "process" or record.life is None:
            return True

        def ended() -> None:
            self.claims.finish(claim, End.LIFE)
            self._settle()

        if self._lives.watch(claim.key, record.life, ended):
            return True
        ended()
        return False

    def _fail(self, claim: Claim, error: PillionError) -> None:
        answer = self._answers.get(claim)
        if answer is not None and not answer.done():
            answer.set_exception(error)
        self.claims.finish(claim, End.FAILED)
        self._settle()

    async def _confirm(self, claim: Claim) -> None:
        begun_s = boot_time_s()
        try:
            alive = await self._keys.keep_alive(claim)
        except StoreUnavailableError as error:
            self._fail(claim, error)
            return
        if alive and self.claims.confirmed(claim, begun_s):
            self._granted(claim)
        elif not alive:
            self.claims.finish(claim, End.GONE)
        self._settle()

    async def _renew(self, claim: Claim) -> None:
        begun_s = boot_time_s()
        # With the store away the watch says so soon enough; until then the lease may last.
        with contextlib.suppress(StoreUnavailableError):
            if await self._keys.keep_alive(claim):
                self.claims.renewed(claim, begun_s)
                self._arm()
            else:
                self.claims.finish(claim, End.GONE)
                self._settle()

    # What follows from changes and time.

    def _changed(self, touched: set[str] | None) -> None:
        if touched is None or touched:
            self.observers.wake()
        self._settle()

    def _settle(self) -> None:
        if self._ending:
            return
        for action in self.claims.settle(boot_time_s()):
            self._act(action)
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_s = self.claims.next_due_s()
        if due_s is not None and not self._ending:
            wait_s = max(0.001, due_s - boot_time_s())
            self._timer = self._loop.call_later(wait_s, self._time_has_come)

    def _time_has_come(self) -> None:
        self._timer = None
        self._settle()

    def _act(self, action: Action) -> None:
        claim = action.claim
        if isinstance(action, Grant):
            self._granted(claim)
        elif isinstance(action, Confirm):
            self._start(f"confirm {claim.subject}", self._confirm(claim))
        elif isinstance(action, Finish):
            self._finished(claim)
        else:
            self._start(f"renew {claim.subject}", self._renew(claim))

    def _granted(self, claim: Claim) -> None:
        self.granted += 1
        answer = self._answers.get(claim)
        if answer is not None and not answer.done():
            answer.set_result(None)

    def _finished(self, claim: Claim) -> None:
        assert claim.end is not None
        self._lives.forget(claim.key)
        answer = self._answers.get(claim)
        is_waiting = answer is not None and not answer.done()
        if answer is not None and is_waiting:
            answer.set_exception(self._why_not(claim, claim.end))
        elif claim.end in _UNWANTED:
            self._tell_lost(claim, claim.end)
        if claim.end is End.TIMED_OUT:
            self.waits_over += 1
        if claim.end is End.HANDED_OVER:
            self._handed_over = True
        if claim.store_lease and claim.end not in _NOT_OURS:
            self._start(f"leave {claim.subject}", self._keys.take_away(claim))
        # Last: with nobody left, the board forgets what the answer tells.
        self._following.leave()

    def _why_not(self, claim: Claim, end: End) -> PillionError:
        if end is End.TIMED_OUT:
            return HeldError(claim.subject, f"{end.value}", self.board.first(claim.subject))
        if end in (End.FAILED, End.GONE):
            why = self._store.health.reason or end.value
            return StoreUnavailableError(f"cannot take {claim.subject}: {why}; try again")
        return RefusedError(
            503,
            "Service Unavailable",
            f"cannot wait for {claim.subject} any longer: {end.value}; ask again",
        )

    def _tell_lost(self, claim: Claim, end: End) -> None:
        self.lost += 1
        data: dict[str, str | int] = {
            "subject": claim.subject,
            "holder": claim.record.holder,
            "token": claim.token,
        }
        self._journal(f"{claim.subject} is lost: {end.value}", data)

    def _adopt(self, claim: Claim) -> None:
        self.claims.adopt(claim)
        self._following.join()
        self._watch_life(claim)
        if claim.record.bind == "app" and self._app is not None:
            self.app_is(self._app)

    async def _until_in_charge(self) -> None:
        if self._ending or self._handed_over:
            # Nothing is said of the lease: another agent knows.
            raise RefusedError(
                503, "Service Unavailable", "cannot lock now: this agent ends; ask again"
            )
        if self._in_charge.is_set():
            return
        try:
            await asyncio.wait_for(self._in_charge.wait(), _TAKE_OVER_S)
        except TimeoutError as error:
            why = self._store.health.reason or "the store does not answer"
            raise StoreUnavailableError(f"cannot lock now: {why}; try again") from error

    async def _find(self, subject: str, lease: str) -> Claim:
        """The claim that holds `subject` by `lease`, adopted where another agent of ours has granted it in its last moment.

        Raises `LeaseError` when there is none, `StoreUnavailableError` when that cannot be told.
        """
        claim = self.claims.find(subject, lease)
        if claim is not None:
            return claim
        holding = await self.holder(subject)
        if (
            holding is not None
            and holding.record.lease == lease
            and self._keys.is_ours(holding)
            and holding.record.agent != self._me
        ):
            claim = await self._keys.adopt_one(holding)
            if claim is not None:
                self._adopt(claim)
                return claim
        raise LeaseError(subject, holding)

    async def _holder_or_none(self, subject: str) -> Holding | None:
        try:
            return await self.holder(subject)
        except UnreachableError:
            return None

    def _start(self, name: str, work: Coroutine[object, object, None]) -> None:
        try:
            self._tasks.start(name, work, may_end=True)
        except PillionError as error:
            # This process ends, or has far too many tasks: the lease ends by itself.
            self._journal(str(error), {})
