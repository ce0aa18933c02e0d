"""The keys of claims in the store: written, renewed, rewritten and taken away, always by the revision that is known of them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec

from pillion.locks.asking import boot_time_s
from pillion.locks.board import queues_of
from pillion.locks.claims import Claim, State
from pillion.locks.following import snapshot
from pillion.locks.lives import is_alive
from pillion.locks.record import encode
from pillion.store.interface import (
    ABSENT,
    ConflictError,
    LeaseEndedError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from pillion.locks.record import Holding, Life
    from pillion.store.interface import Store


class Keys:
    """What one agent (`me`) of an instance's run writes. Every method raises `StoreUnavailableError` unless it says otherwise."""

    def __init__(self, store: Store, instance: str, run: str, me: Life) -> None:
        self._store = store
        self._instance = instance
        self._run = run
        self._me = me
        self._writer = f"instance {instance}"

    async def write(self, claim: Claim) -> int:
        """Write the claim's key under a lease of its own; returns its revision, which is the token. Raises `LeaseEndedError` too.

        `claim.store_lease` is set as soon as there is one, so that it can be taken back after a failure.
        """
        claim.store_lease = await self._store.grant(claim.record.ttl_s)
        return await self._store.put(
            claim.key,
            encode(claim.record),
            writer=self._writer,
            expect=ABSENT,
            lease=claim.store_lease,
        )

    async def keep_alive(self, claim: Claim) -> bool:
        """Renew the claim's lease; False when it has ended."""
        return await self._store.keep_alive(claim.store_lease)

    async def tell(self, claim: Claim, value: bytes) -> None:
        """Write the value of a leader anew; its token stays. Raises `ConflictError` and `LeaseEndedError` too."""
        record = msgspec.structs.replace(claim.record, value=msgspec.Raw(value))
        claim.revision = await self._store.put(
            claim.key,
            encode(record),
            writer=self._writer,
            expect=claim.revision,
            lease=claim.store_lease,
        )
        claim.record = record

    async def release(self, claim: Claim) -> None:
        """End the claim's lease, and its key with it."""
        await self._store.revoke(claim.store_lease)
        claim.store_lease = ""

    async def take_away(self, claim: Claim) -> None:
        """Take the key and its lease from the store, unless another agent has written the key since. Raises nothing.

        With the store away the lease ends by itself: nobody renews it any more.
        """
        with contextlib.suppress(StoreUnavailableError, ConflictError):
            if claim.revision:
                await self._store.delete(claim.key, writer=self._writer, expect=claim.revision)
            if claim.store_lease:
                await self._store.revoke(claim.store_lease)

    async def adopt(self) -> list[Claim]:
        """Claims for what is held through agents of this run before us, rewritten, so that those keep their hands off.

        Each has a fresh time. Who waits is left to the agent that he waits at; if that one is dead, he has lost his connection
        and waits no more.
        """
        _, entries = await snapshot(self._store)
        adopted = []
        for queue in queues_of(entries).values():
            for place, holding in enumerate(queue):
                if not self.is_ours(holding):
                    continue
                if place == 0:
                    claim = await self.adopt_one(holding)
                    if claim is not None:
                        adopted.append(claim)
                elif not is_alive(holding.record.agent):
                    with contextlib.suppress(ConflictError):
                        await self._store.delete(
                            holding.key, writer=self._writer, expect=holding.revision
                        )
        return adopted

    def is_ours(self, holding: Holding) -> bool:
        """Whether it is held through this run of this instance, by whichever agent."""
        return (holding.record.instance, holding.record.run) == (self._instance, self._run)

    async def adopt_one(self, holding: Holding) -> Claim | None:
        """A claim for what another agent of this run has left; None when it has just ended."""
        record = msgspec.structs.replace(holding.record, agent=self._me)
        lease = holding.store_lease or ""
        begun_s = boot_time_s()
        try:
            if not lease or not await self._store.keep_alive(lease):
                return None  # it has just ended
            revision = await self._store.put(
                holding.key,
                encode(record),
                writer=self._writer,
                expect=holding.revision,
                lease=lease,
            )
        except (ConflictError, LeaseEndedError):
            return None
        return Claim(
            subject=holding.subject,
            id=holding.id,
            record=record,
            until_s=begun_s + record.ttl_s,
            state=State.HELD,
            token=holding.token,
            revision=revision,
            store_lease=lease,
            begun_s=begun_s,
        )
