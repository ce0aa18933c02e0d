"""One watcher's place in the changes: what it is told next, decided without I/O, so that every cut can be tried.

SNAPSHOT  the present state without ids, then `current` with one
HISTORY   it resumes from before the ring: the store is asked for what was between
LIVE      what the ring has behind its cursor
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from pillion.config.ring import Event

if TYPE_CHECKING:
    from pillion.config.ring import Group, Ring, Selection
    from pillion.config.tree import Tree


class Phase(Enum):
    """Where a follower gets its next events from."""

    SNAPSHOT = 1
    HISTORY = 2
    LIVE = 3


class Follower:
    """A watcher of `selection`, that has seen everything up to `last`, or nothing yet (None).

    `ahead` says that `last` is beyond what the tree has: its driver finds out whether the store has come that far.
    """

    def __init__(self, tree: Tree, ring: Ring, selection: Selection, last: int | None) -> None:
        self.selection = selection
        self.cursor = -1 if last is None else last
        self._tree = tree
        self._ring = ring
        self._epoch = ring.epoch
        self._resets = False
        self.ahead = last is not None and last > tree.revision
        if last is None:
            self.phase = Phase.SNAPSHOT
        elif last < ring.start:
            self.phase = Phase.HISTORY
        else:
            self.phase = Phase.LIVE

    def begin_anew(self) -> None:
        """What it has seen cannot be gone on from: tell so, and take a snapshot."""
        self.phase = Phase.SNAPSHOT
        self._resets = True
        self.ahead = False

    def replayed(self, group: Group) -> list[Event]:
        """What a group of the store's history, behind the cursor, tells it."""
        assert self.phase is Phase.HISTORY
        return group.events(self.selection) if group.revision > self.cursor else []

    def caught_up(self, revision: int) -> bool:
        """Take note that history was told up to `revision`; whether the ring has the rest."""
        self.cursor = max(self.cursor, revision)
        if self.cursor >= self._ring.start:
            self.phase = Phase.LIVE
        return self.phase is Phase.LIVE

    def stands_at(self, revision: int) -> None:
        """Take note that nothing up to `revision` concerns it."""
        self.cursor = max(self.cursor, revision)

    def take(self) -> list[Event]:
        """Everything that it can be told now; nothing, in the phase HISTORY, when others have to tell it first."""
        if self._ring.epoch != self._epoch:
            self.begin_anew()
        if self.phase is Phase.SNAPSHOT:
            return self._snapshot()
        groups = self._ring.after(self.cursor)
        if groups is None:
            self.phase = Phase.HISTORY  # too slow for the ring, or the ring has skipped something
            return []
        self.phase = Phase.LIVE
        self.cursor = max(self.cursor, self._ring.end)
        return [event for group in groups for event in group.events(self.selection)]

    def _snapshot(self) -> list[Event]:
        revision = self._tree.revision
        events = []
        if self._resets:
            events.append(Event("reset", b'{"revision":%d}' % revision))
        self._resets = False
        selection = self.selection
        if selection.key is None:
            items = self._tree.items(selection.prefix, selection.layer)
        else:
            item = self._tree.item(selection.key, selection.layer)
            items = [] if item is None else [item]
        events += [Event("put", item.body) for item in items]
        events.append(Event("current", b'{"revision":%d}' % revision, revision))
        self.cursor = revision
        self._epoch = self._ring.epoch
        self.phase = Phase.LIVE
        return events
