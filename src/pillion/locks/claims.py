"""The claims of one agent: pure decisions about who waits, holds, gives up and has lost, given the board and the time.

    ENTERING ──entered──▶ WAITING ──first──▶ CONFIRMING ──confirmed──▶ HELD
        │                    │                   │                      │ time over, life over, key gone,
        └────────────────────┴───────────────────┴──────────────────────┘ released, handed over
                                     ▼
                                   ENDED

A claim is first when no key of its lock was created before its own, as of a revision not before its own. Keys that come
later have higher revisions, so who is first once stays it until its key goes: nothing has to be written for it, and a board that
lags only makes it wait longer. All decisions are made from states, never from single changes, so that no wake-up can be lost.

Times are seconds of one clock that counts a suspended host's as well. A lease is taken to begin when it was asked for, so that
we give it up no later than the store does.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

from pillion.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pillion.locks.board import Board
    from pillion.locks.record import Record

MOST_CLAIMS = 1024
"""What one agent holds and waits for at most."""
MOST_WAITERS = 256
"""How many of them may wait for one lock."""
# A waiter's own lease is renewed this often within its time.
_RENEWALS = 3
# How long beyond its wait a claim may go without word from the store whether the lock is free.
STORE_GRACE_S = 5.0
# A lease that is older than this part of its time when the claim comes first is renewed before it is answered.
_FRESH = 0.25


class State(enum.Enum):
    """Where a claim stands."""

    ENTERING = "entering"
    WAITING = "waiting"
    CONFIRMING = "confirming"
    HELD = "held"
    ENDED = "ended"


class End(enum.Enum):
    """Why a claim ended, in words."""

    RELEASED = "it was released"
    TIMED_OUT = "it was not free within the wait"
    ABANDONED = "who waited for it has left"
    EXPIRED = "it was not renewed within its time"
    LIFE = "its process ended"
    APP = "the app's process ended"
    GONE = "its key is gone from the store: released by an operator, or its lease ended"
    HANDED_OVER = "another agent looks after it"
    FAILED = "the store could not be used"
    CLOSING = "this agent ends"


class Claim(msgspec.Struct, eq=False):
    """One who wants or has a lock.

    `until_s` is when a waiter gives up, and when a holder's lease ends; `renew_s` when a waiter's own lease has to be renewed;
    `begun_s` when the present time of the lease began.
    """

    subject: str
    id: str
    record: Record
    until_s: float
    state: State = State.ENTERING
    token: int = 0
    revision: int = 0
    store_lease: str = ""
    begun_s: float = 0.0
    renew_s: float = 0.0
    end: End | None = None

    @property
    def key(self) -> str:
        """Its key in the store."""
        return f"{self.subject}/{self.id}"


class Grant(msgspec.Struct, frozen=True):
    """The claim holds the lock: answer it."""

    claim: Claim


class Confirm(msgspec.Struct, frozen=True):
    """The claim is first after a wait: renew its lease, then say `confirmed`."""

    claim: Claim


class Renew(msgspec.Struct, frozen=True):
    """Renew the lease of a claim that waits."""

    claim: Claim


class Finish(msgspec.Struct, frozen=True):
    """The claim has ended (`claim.end`): answer who waits for it, and take its key away where it is still ours."""

    claim: Claim


Action = Grant | Confirm | Renew | Finish


class Claims:
    """All claims of this agent. Whatever is done, `settle` afterwards says what follows from it."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._claims: dict[str, Claim] = {}
        self._unfinished: list[Claim] = []

    def __len__(self) -> int:
        return len(self._claims)

    def __iter__(self) -> Iterator[Claim]:
        return iter(tuple(self._claims.values()))

    def count(self, *states: State) -> int:
        """How many are in one of `states`."""
        return sum(1 for claim in self._claims.values() if claim.state in states)

    def enter(self, claim: Claim) -> None:
        """Admit a claim; `RefusedError` 503 when there are too many."""
        waiting = sum(1 for one in self._claims.values() if one.subject == claim.subject)
        if len(self._claims) >= MOST_CLAIMS or waiting > MOST_WAITERS:
            raise RefusedError(
                503,
                "Too Many Claims",
                f"cannot wait for {claim.subject}: {len(self._claims)} claims are held or waited for here, "
                f"{waiting} of them for this one; try again later",
            )
        self._claims[claim.key] = claim

    def entered(self, claim: Claim, token: int, begun_s: float) -> None:
        """Its key is in the store. It may have ended meanwhile: then there is now something to take away."""
        claim.token = claim.revision = token
        claim.begun_s = begun_s
        claim.renew_s = begun_s + claim.record.ttl_s / _RENEWALS
        if claim.state is State.ENTERING:
            claim.state = State.WAITING

    def adopt(self, claim: Claim) -> None:
        """Look after a claim that a predecessor has left."""
        self._claims[claim.key] = claim

    def find(self, subject: str, lease: str) -> Claim | None:
        """The claim that holds `subject` by what its holder shows."""
        for claim in self._claims.values():
            if claim.subject == subject and claim.record.lease == lease:
                return claim if claim.state is State.HELD else None
        return None

    def renewed(self, claim: Claim, begun_s: float) -> bool:
        """The store has renewed the lease, asked at `begun_s`; False when the claim has ended meanwhile."""
        if claim.state is State.WAITING:
            claim.begun_s = begun_s
            claim.renew_s = begun_s + claim.record.ttl_s / _RENEWALS
        elif claim.state is State.HELD:
            claim.begun_s = begun_s
            claim.until_s = begun_s + claim.record.ttl_s
        return claim.state is not State.ENDED

    def confirmed(self, claim: Claim, begun_s: float) -> bool:
        """The lease of a claim that came first has been renewed: it holds. False when it has ended meanwhile."""
        if claim.state is not State.CONFIRMING:
            return False
        self._hold(claim, begun_s)
        return True

    def finish(self, claim: Claim, end: End) -> None:
        """End a claim, once."""
        if claim.state is State.ENDED:
            return
        claim.state = State.ENDED
        claim.end = end
        self._claims.pop(claim.key, None)
        self._unfinished.append(claim)

    def settle(self, now_s: float) -> list[Action]:
        """What follows from the board and the time."""
        actions: list[Action] = []
        for claim in tuple(self._claims.values()):
            self._settle(claim, now_s, actions)
        actions += [Finish(claim) for claim in self._unfinished]
        self._unfinished.clear()
        return actions

    def next_due_s(self) -> float | None:
        """When time alone will change something."""
        dues = [self._due_s(claim) for claim in self._claims.values()]
        return min(dues) if dues else None

    def _settle(self, claim: Claim, now_s: float, actions: list[Action]) -> None:
        state = claim.state
        if self._is_seen(claim):
            there = self._board.find(claim.subject, claim.id)
            if there is None:
                self.finish(claim, End.GONE)
                return
            if there.record.agent != claim.record.agent:
                # Only an agent that takes over writes a key which is not its own.
                self.finish(claim, End.HANDED_OVER)
                return
            claim.revision = max(claim.revision, there.revision)
            first = self._board.first(claim.subject)
            if state is State.WAITING and first is not None and first.id == claim.id:
                if now_s - claim.begun_s <= claim.record.ttl_s * _FRESH:
                    self._hold(claim, claim.begun_s)
                    actions.append(Grant(claim))
                else:
                    claim.state = State.CONFIRMING
                    # The store keeps it no longer than that, so neither do we wait for its word.
                    claim.until_s = claim.begun_s + claim.record.ttl_s
                    actions.append(Confirm(claim))
                return
        if now_s >= self._end_s(claim):
            self.finish(claim, self._end_of_time(claim))
        elif state is State.WAITING and now_s >= claim.renew_s:
            claim.renew_s = now_s + claim.record.ttl_s / _RENEWALS
            actions.append(Renew(claim))

    def _hold(self, claim: Claim, begun_s: float) -> None:
        claim.state = State.HELD
        claim.begun_s = begun_s
        claim.until_s = begun_s + claim.record.ttl_s

    def _is_seen(self, claim: Claim) -> bool:
        """Whether the board has come as far as the claim's own key."""
        return claim.state is not State.ENTERING and self._board.revision >= claim.revision

    def _end_s(self, claim: Claim) -> float:
        """When its time is over. A short wait is for the lock to be free, not for the store to say so."""
        is_unknown = claim.state in (State.ENTERING, State.WAITING) and not self._is_seen(claim)
        return claim.until_s + STORE_GRACE_S if is_unknown else claim.until_s

    def _end_of_time(self, claim: Claim) -> End:
        if claim.state is State.HELD:
            return End.EXPIRED
        is_waiting = claim.state is State.WAITING and self._is_seen(claim)
        return End.TIMED_OUT if is_waiting else End.FAILED

    def _due_s(self, claim: Claim) -> float:
        end_s = self._end_s(claim)
        return min(end_s, claim.renew_s) if claim.state is State.WAITING else end_s
