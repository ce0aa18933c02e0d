"""What the locks of an agent do when the store fails, hangs or begins anew, and when clients leave at the worst moment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from lock_memory import MemoryStore
from pillion.base.tasks import RootTasks
from pillion.errors import PillionError, RefusedError
from pillion.locks.asking import DoubtError, HeldError, LeaseError, Wanted
from pillion.locks.claims import State
from pillion.locks.lives import life_of
from pillion.locks.locks import Locks
from pillion.locks.record import Life
from pillion.store.interface import StoreFullError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

BOUND_S = 40.0


def wanted(wait_s: float = BOUND_S, ttl_s: float = 30.0, **more: Any) -> Wanted:
    return Wanted(subject="locks/x", ttl_s=ttl_s, wait_s=wait_s, holder="me", **more)


class Scene:
    """A store and the locks of some agents on it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.journal: list[str] = []
        self.unexpected: list[str] = []
        self.tasks = RootTasks(lambda end: self.unexpected.append(str(end)))

    async def locks(self, instance: str = "one", run: str = "r1", me: Life | None = None) -> Locks:
        def tell(why: str, _: object) -> None:
            self.journal.append(why)

        made = Locks(self.store, self.tasks, instance, run, tell, me=me)
        await made.take_over()
        return made

    async def until(self, what: Callable[[], object]) -> None:
        """Let the loop turn until it is so."""
        async with asyncio.timeout(BOUND_S):
            while not what():  # noqa: ASYNC110 # any condition, each turn of the loop
                await asyncio.sleep(0)


def played(scene: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
    """Run a scene to its end; no task may fail in it."""

    async def play() -> None:
        made = Scene()
        await asyncio.wait_for(scene(made), 2 * BOUND_S)
        await made.tasks.close(1.0)
        assert made.unexpected == []

    asyncio.run(play())


async def refused(kind: type[PillionError], asked: Awaitable[object]) -> Any:
    with pytest.raises(kind) as caught:
        await asyncio.wait_for(asked, BOUND_S)
    return caught.value


def test_nothing_stays_when_the_work_is_done() -> None:
    async def scene(of: Scene) -> None:
        locks = await of.locks()
        claim = await locks.acquire(wanted())
        await locks.release("locks/x", claim.record.lease)
        await of.until(lambda: not of.store.entries and not of.store.leases)
        await of.until(lambda: of.store.watchers == 0)
        await of.until(lambda: not len(of.tasks))
        assert locks.claims.next_due_s() is None

    played(scene)


@pytest.mark.parametrize("operation", ["grant", "put"])
@pytest.mark.parametrize("error", [StoreUnavailableError, StoreFullError])
def test_a_store_that_refuses_is_said_so(operation: str, error: type[PillionError]) -> None:
    async def scene(of: Scene) -> None:
        locks = await of.locks()
        of.store.fail[operation] = error("cannot write: no")
        assert "no" in str(await refused(error, locks.acquire(wanted())))
        of.store.fail.clear()
        await of.until(lambda: not of.store.leases)
        assert (await locks.acquire(wanted())).state is State.HELD

    played(scene)


def test_a_write_that_failed_and_happened_nevertheless_is_taken_back() -> None:
    async def scene(of: Scene) -> None:
        locks = await of.locks()
        of.store.fail_after["put"] = StoreUnavailableError("cannot tell: cut off")
        await refused(StoreUnavailableError, locks.acquire(wanted()))
        of.store.fail_after.clear()
        await of.until(lambda: not of.store.entries)

    played(scene)


@pytest.mark.parametrize("operation", ["grant", "put"])
def test_a_client_that_leaves_while_it_is_written_leaves_nothing(operation: str) -> None:
    async def scene(of: Scene) -> None:
        locks = await of.locks()
        gate = of.store.hold(operation)
        asking = asyncio.ensure_future(locks.acquire(wanted()))
        await of.until(lambda: of.store.held == 1)
        asking.cancel()
        await asyncio.wait({asking})
        gate.set()
        await of.until(lambda: not of.store.entries and not of.store.leases)
        assert len(locks.claims) == 0
        assert (await locks.acquire(wanted(wait_s=0))).state is State.HELD

    played(scene)


def test_a_client_that_leaves_at_the_moment_of_its_grant_leaves_nothing() -> None:
    async def scene(of: Scene) -> None:
        locks = await of.locks()
        first = await locks.acquire(wanted())
        asking = asyncio.ensure_future(locks.acquire(wanted()))
        await of.until(lambda: locks.claims.count(State.WAITING) == 1)
        await locks.release("locks/x", first.record.lease)
        await of.until(lambda: locks.claims.count(State.HELD) == 1)
        asking.cancel()
        await asyncio.wait({asking})
        if asking.cancelled():
            await of.until(lambda: not of.store.entries)

    played(scene)


def test_a_renewal_in_doubt_says_how_long_it_is_safe() -> None:
    async def scene(of: Scene) -> None:
        locks = await of.locks()
        claim = await locks.acquire(wanted(ttl_s=30.0))
        of.store.fail["keep_alive"] = StoreUnavailableError("cannot reach the store: gone")
        error = await refused(DoubtError, locks.renew("locks/x", claim.record.lease, None, None))
        assert 25 < error.safe_s <= 30
        assert "safe for" in str(error)
        of.store.fail.clear()
        assert await locks.renew("locks/x", claim.record.lease, 30.0, None) is claim

    played(scene)


def test_a_lease_that_the_store_has_ended_is_lost() -> None:
    async def scene(of: Scene) -> None:
        locks = await of.locks()
        claim = await locks.acquire(wanted())
        of.store.quiet = True
        of.store.end(claim.store_lease)
        await refused(LeaseError, locks.renew("locks/x", claim.record.lease, None, None))
        assert locks.lost == 1
        assert "its lease ended" in of.journal[0]

    played(scene)


def test_two_agents_and_a_store_that_hangs_between() -> None:
    async def scene(of: Scene) -> None:
        one, two = await of.locks("one"), await of.locks("two")
        first = await one.acquire(wanted())
        asking = asyncio.ensure_future(two.acquire(wanted()))
        await of.until(lambda: two.claims.count(State.WAITING) == 1)
        error = await refused(HeldError, two.acquire(wanted(wait_s=0)))
        assert error.holding.record.instance == "one"
        gate = of.store.hold("revoke")
        releasing = asyncio.ensure_future(one.release("locks/x", first.record.lease))
        await of.until(lambda: of.store.held == 1)
        assert not asking.done()
        gate.set()
        await releasing
        second = await asking
        assert second.token > first.token

    played(scene)


def test_a_watch_that_breaks_is_taken_up_again() -> None:
    async def scene(of: Scene) -> None:
        one, two = await of.locks("one"), await of.locks("two")
        first = await one.acquire(wanted())
        asking = asyncio.ensure_future(two.acquire(wanted()))
        await of.until(lambda: two.claims.count(State.WAITING) == 1)
        of.store.compact()
        await one.release("locks/x", first.record.lease)
        assert (await asking).state is State.HELD

    played(scene)


def test_an_agent_that_goes_sends_who_waits_away_and_keeps_what_is_held() -> None:
    async def scene(of: Scene) -> None:
        old = await of.locks()
        held = await old.acquire(wanted())
        asking = asyncio.ensure_future(old.acquire(wanted()))
        await of.until(lambda: old.claims.count(State.WAITING) == 1)
        old.disable()
        assert (await refused(RefusedError, asking)).status == 503
        assert (await refused(RefusedError, old.acquire(wanted()))).status == 503
        await of.until(lambda: list(of.store.entries) == [held.key])
        new = await of.locks()
        adopted = await new.renew("locks/x", held.record.lease, None, None)
        assert adopted.token == held.token
        await new.release("locks/x", held.record.lease)
        await of.until(lambda: not of.store.entries)

    played(scene)


def test_another_run_of_the_instance_takes_nothing_over() -> None:
    async def scene(of: Scene) -> None:
        held = await (await of.locks(run="r1")).acquire(wanted())
        later = await of.locks(run="r2")
        await refused(LeaseError, later.renew("locks/x", held.record.lease, None, None))

    played(scene)


def test_two_agents_of_one_run_do_not_end_each_others() -> None:
    async def scene(of: Scene) -> None:
        old = await of.locks()
        held = await old.acquire(wanted())
        # The successor in an upgrade is promoted before the old one retires.
        new = await of.locks(me=Life(2, 2))
        await of.until(lambda: len(old.claims) == 0)
        assert list(of.store.entries) == [held.key]
        assert of.journal == []
        assert new.claims.count(State.HELD) == 1
        # The old one must not call a lease lost of which another knows better.
        error = await refused(RefusedError, old.renew("locks/x", held.record.lease, None, None))
        assert error.status == 503
        assert (await new.renew("locks/x", held.record.lease, None, None)).token == held.token

    played(scene)


def test_what_an_agent_grants_in_its_last_moment_is_known_to_the_next() -> None:
    async def scene(of: Scene) -> None:
        old, other = await of.locks(), await of.locks("other")
        first = await other.acquire(wanted())
        asking = asyncio.ensure_future(old.acquire(wanted()))
        await of.until(lambda: old.claims.count(State.WAITING) == 1)
        new = await of.locks(me=Life(2, 2))
        assert len(new.claims) == 0, "who waits at an agent that lives is left to it"
        await other.release("locks/x", first.record.lease)
        granted = await asking
        old.disable()
        renewed = await new.renew("locks/x", granted.record.lease, None, None)
        assert renewed.token == granted.token
        await new.release("locks/x", granted.record.lease)
        await of.until(lambda: not of.store.entries)

    played(scene)


def test_a_process_that_has_ended_already_gets_nothing() -> None:
    async def scene(of: Scene) -> None:
        locks = await of.locks()
        process = await asyncio.create_subprocess_exec("sleep", "1000")
        life = life_of(process.pid)
        process.kill()
        await process.wait()
        await refused(RefusedError, locks.acquire(wanted(bind="process", life=life)))
        assert of.store.entries == {}

    played(scene)


def test_a_store_that_is_away_at_the_start_is_waited_for() -> None:
    async def scene(of: Scene) -> None:
        of.store.fail["range"] = StoreUnavailableError("cannot read: not there yet")
        locks = Locks(of.store, of.tasks, "one", "r1", lambda why, _: of.journal.append(why))
        taking = asyncio.ensure_future(locks.take_over())
        asking = asyncio.ensure_future(locks.acquire(wanted()))
        await asyncio.sleep(0)
        of.store.fail.clear()
        of.store.tell_health()
        assert (await asking).state is State.HELD
        await taking

    played(scene)
