"""A store and agents of locks in virtual time: what the tests of decisions stand on, without sockets, tasks or waiting."""

from __future__ import annotations

from dataclasses import dataclass, field

from pillion.locks.board import Board
from pillion.locks.claims import Action, Claim, Claims, Confirm, End, Finish, Grant, Renew, State
from pillion.locks.record import Life, Record, encode
from pillion.store.interface import Change, Entry

SUBJECT = "locks/x"
TTL_S = 12.0


@dataclass
class Key:
    """A key in the model store, with the end of its lease."""

    entry: Entry
    ends_s: float


@dataclass
class World:
    """The store: one revision for each write, keys that go with their leases, and all that ever happened."""

    now_s: float = 1000.0
    revision: int = 0
    keys: dict[str, Key] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    leases: dict[str, float] = field(default_factory=dict)

    def put(self, claim: Claim) -> int:
        """Write a claim's key, keeping its place when it is there; returns the revision."""
        self.revision += 1
        before = self.keys.get(claim.key)
        created = before.entry.created if before else self.revision
        value = encode(claim.record)
        entry = Entry(
            key=claim.key,
            value=value,
            revision=self.revision,
            created=created,
            time_s=self.now_s,
            lease=claim.key,
        )
        self.keys[claim.key] = Key(entry, self.now_s + claim.record.ttl_s)
        self._log(claim.key, value)
        return self.revision

    def keep_alive(self, claim: Claim) -> bool:
        """Renew the lease; False when it has ended."""
        self.expire()
        key = self.keys.get(claim.key)
        if key is None:
            return False
        key.ends_s = self.now_s + claim.record.ttl_s
        return True

    def delete(self, name: str, revision: int | None = None) -> None:
        """Delete a key, if it is at `revision` where one is given."""
        key = self.keys.get(name)
        if key is None or revision not in (None, key.entry.revision):
            return
        del self.keys[name]
        self.revision += 1
        self._log(name, None)

    def expire(self) -> None:
        """End the leases whose time is over."""
        for name, key in list(self.keys.items()):
            if key.ends_s <= self.now_s:
                self.delete(name)

    def queue(self, subject: str = SUBJECT) -> list[str]:
        """The keys of a lock in their order."""
        keys = [k for k in self.keys.values() if k.entry.key.startswith(f"{subject}/")]
        return [k.entry.key for k in sorted(keys, key=lambda k: k.entry.created)]

    def _log(self, key: str, value: bytes | None) -> None:
        change = Change(key=key, value=value, revision=self.revision, time_s=self.now_s)
        self.changes.append(change)


class Agent:
    """One agent's claims and board; `lags` lets the board fall behind the store."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.life = Life(number, number)
        self.board = Board()
        self.claims = Claims(self.board)
        self.granted: list[Claim] = []
        self.finished: list[tuple[Claim, End]] = []
        self.confirming: list[Claim] = []
        self._made = 0
        self.board.reset(world.revision, [k.entry for k in world.keys.values()])

    def claim(self, wait_s: float = 60.0, subject: str = SUBJECT, ttl_s: float = TTL_S) -> Claim:
        """Ask for the lock; its key is not yet in the store."""
        self._made += 1
        name = f"{self.life.pid}-{self._made}"
        record = Record(
            holder=name,
            lease=f"lease {name}",
            instance=f"i{self.life.pid}",
            run="r",
            agent=self.life,
            ttl_s=ttl_s,
            since_s=self.world.now_s,
        )
        claim = Claim(subject, name, record, self.world.now_s + wait_s)
        self.claims.enter(claim)
        return claim

    def write(self, claim: Claim) -> None:
        """The put of a claim's key, and the word of it."""
        begun_s = self.world.now_s
        claim.store_lease = claim.key
        self.claims.entered(claim, self.world.put(claim), begun_s)
        if claim.state is State.ENDED:
            self.world.delete(claim.key, claim.revision)

    def hear(self, steps: int | None = None) -> None:
        """Take in the next changes of the store, all of them or so many."""
        news = [c for c in self.world.changes if c.revision > self.board.revision]
        for change in news[:steps]:
            self.board.apply(change.revision, [change])

    def settle(self) -> list[Action]:
        """Decide, and do what was decided at once, confirmations excepted."""
        actions = self.claims.settle(self.world.now_s)
        for action in actions:
            claim = action.claim
            if isinstance(action, Grant):
                self.granted.append(claim)
            elif isinstance(action, Confirm):
                self.confirming.append(claim)
            elif isinstance(action, Renew):
                if self.world.keep_alive(claim):
                    self.claims.renewed(claim, self.world.now_s)
            elif isinstance(action, Finish):
                assert claim.end is not None
                self.finished.append((claim, claim.end))
                if claim.end is not End.HANDED_OVER:
                    self.world.delete(claim.key, claim.revision)
        return actions

    def confirm(self) -> None:
        """Renew the leases of those that came first after a wait."""
        for claim in self.confirming:
            if not self.world.keep_alive(claim):
                self.claims.finish(claim, End.GONE)
            elif self.claims.confirmed(claim, self.world.now_s):
                self.granted.append(claim)
        self.confirming.clear()

    def take(self, wait_s: float = 60.0) -> Claim:
        """Ask, write, hear and decide."""
        claim = self.claim(wait_s)
        self.write(claim)
        self.hear()
        self.settle()
        return claim

    def held(self) -> list[Claim]:
        """What it holds."""
        return [claim for claim in self.claims if claim.state is State.HELD]
