"""Every queue as the store has it, up to a revision: pure, fed by a snapshot and the changes after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.locks.record import Holding, decode, holding_of, split_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pillion.store.interface import Change, Entry


class Board:
    """`revision` is how far it has come; `is_loaded` turns true with the first snapshot (an empty store is at revision 0)."""

    def __init__(self) -> None:
        self._queues: dict[str, dict[str, Holding]] = {}
        self.revision = 0
        self.is_loaded = False

    def reset(self, revision: int, entries: Iterable[Entry]) -> None:
        """Begin anew from a snapshot."""
        self._queues = {}
        for entry in entries:
            holding = holding_of(entry)
            if holding is not None:
                self._queues.setdefault(holding.subject, {})[holding.id] = holding
        self.revision = revision
        self.is_loaded = True

    def forget(self) -> None:
        """Nobody tells us of changes any more."""
        self._queues = {}
        self.revision = 0
        self.is_loaded = False

    def apply(self, revision: int, changes: Iterable[Change]) -> set[str]:
        """Take in the changes up to `revision`; returns the subjects that they touch."""
        touched: set[str] = set()
        for change in changes:
            split = split_key(change.key)
            if split is None:
                continue
            subject, identity = split
            queue = self._queues.setdefault(subject, {})
            before = queue.pop(identity, None)
            record = None if change.value is None else decode(change.value)
            if record is not None:
                # A key that is written again keeps its place: only absence ends it.
                token = change.revision if before is None else before.token
                queue[identity] = Holding(
                    subject=subject,
                    id=identity,
                    token=token,
                    revision=change.revision,
                    record=record,
                    store_lease=None if before is None else before.store_lease,
                )
            if not queue:
                del self._queues[subject]
            touched.add(subject)
        self.revision = max(self.revision, revision)
        return touched

    def queue(self, subject: str) -> list[Holding]:
        """Who holds it, and then who waits, in order."""
        return in_order(self._queues.get(subject, {}).values())

    def first(self, subject: str) -> Holding | None:
        """Who holds it."""
        queue = self._queues.get(subject)
        return min(queue.values(), key=lambda one: one.token) if queue else None

    def find(self, subject: str, identity: str) -> Holding | None:
        """One key."""
        return self._queues.get(subject, {}).get(identity)


def in_order(holdings: Iterable[Holding]) -> list[Holding]:
    """A queue: the holder first."""
    return sorted(holdings, key=lambda one: one.token)


def queues_of(entries: Iterable[Entry]) -> dict[str, list[Holding]]:
    """The queues in a snapshot, by subject."""
    queues: dict[str, list[Holding]] = {}
    for entry in entries:
        holding = holding_of(entry)
        if holding is not None:
            queues.setdefault(holding.subject, []).append(holding)
    return {subject: in_order(queues[subject]) for subject in sorted(queues)}
