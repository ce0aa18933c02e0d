"""The last changes, in the order of revisions: what watchers are told from, and what a resumed one takes up.

One ring serves all watchers: a slow one costs nothing but its place in it, and who falls out of it begins anew
from a snapshot.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import msgspec

from pillion.config.items import deleted_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pillion.config.items import Item
    from pillion.config.tree import Step

MOST_STEPS = 4096
MOST_BYTES = 4 << 20
_STEP_BYTES = 256


class Selection(msgspec.Struct, frozen=True):
    """What one watcher sees: a key, or all keys that begin with `prefix`; over all layers, or one `layer` alone."""

    key: str | None = None
    prefix: str = ""
    layer: str | None = None

    def takes(self, step: Step) -> bool:
        """Whether `step` changes something for this watcher."""
        if self.key is None:
            if not step.key.startswith(self.prefix):
                return False
        elif step.key != self.key:
            return False
        return step.shows if self.layer is None else step.layer == self.layer

    def seen(self, step: Step) -> Item | None:
        """What this watcher then has for the step's key."""
        return step.effective if self.layer is None else step.own

    @property
    def covers(self) -> str:
        """The beginning of every key that it sees."""
        return self.prefix if self.key is None else self.key


class Event(msgspec.Struct, frozen=True):
    """What a watcher is told: `put`, `delete`, `current` or `reset`; `revision` where one may resume behind it."""

    kind: str
    data: bytes
    revision: int | None = None


class Group(msgspec.Struct, frozen=True):
    """All steps of one revision; whoever resumes has seen all of them or none."""

    revision: int
    steps: tuple[Step, ...]

    def events(self, selection: Selection) -> list[Event]:
        """What a watcher is told of it; only the last event has the revision, since only behind it may one resume."""
        chosen = [step for step in self.steps if selection.takes(step)]
        events = []
        for step in chosen:
            item = selection.seen(step)
            revision = self.revision if step is chosen[-1] else None
            if item is None:
                body = deleted_body(step.key, step.layer, self.revision)
                events.append(Event("delete", body, revision))
            else:
                events.append(Event("put", item.body, revision))
        return events


class Ring:
    """Every change after revision `start`, up to `end`; `epoch` grows when the revisions begin anew.

    Who is behind `start` asks the store's history. `dropped` counts the steps that had to make room.
    """

    def __init__(self, *, most_steps: int = MOST_STEPS, most_bytes: int = MOST_BYTES) -> None:
        self.start = 0
        self.end = 0
        self.epoch = 0
        self.dropped = 0
        self._most_steps = most_steps
        self._most_bytes = most_bytes
        self._groups: list[Group] = []
        self._revisions: list[int] = []
        self._steps = 0
        self._bytes = 0

    def begin(self, revision: int) -> None:
        """Forget everything, and that there was anything: `revision` is another store's."""
        self.skip(revision)
        self.epoch += 1

    def skip(self, revision: int) -> None:
        """Go on behind `revision`, with what led to it unknown here."""
        self._groups.clear()
        self._revisions.clear()
        self._steps = self._bytes = 0
        self.start = self.end = revision

    def add(self, revision: int, steps: Sequence[Step]) -> Group | None:
        """Take in the steps of the next revision; without steps only `end` moves."""
        assert revision >= self.end, (revision, self.end)
        before, self.end = self.end, revision
        if not steps:
            return None
        group = Group(revision, tuple(steps))
        if revision == before:
            # Some have seen this revision as it was: they begin anew, since nothing can be told behind it.
            self.begin(revision)
            return group
        self._groups.append(group)
        self._revisions.append(revision)
        self._steps += len(steps)
        self._bytes += _weight(steps)
        self._make_room()
        return group

    def after(self, revision: int) -> list[Group] | None:
        """The changes after `revision`; None when some of them are not here any more."""
        if revision < self.start:
            return None
        return self._groups[bisect_right(self._revisions, revision) :]

    def changed(self, revision: int, selection: Selection) -> bool | None:
        """Whether anything that `selection` sees changed after `revision`; None when that is not known any more."""
        groups = self.after(revision)
        if groups is None:
            return None
        return any(selection.takes(step) for group in groups for step in group.steps)

    def _make_room(self) -> None:
        gone = 0
        while self._steps > self._most_steps or self._bytes > self._most_bytes:
            group = self._groups[gone]
            gone += 1
            self._steps -= len(group.steps)
            self._bytes -= _weight(group.steps)
            self.dropped += len(group.steps)
            self.start = group.revision
        if gone:
            del self._groups[:gone], self._revisions[:gone]


def _weight(steps: Sequence[Step]) -> int:
    """About how many bytes are held for the sake of `steps`."""
    return sum(_STEP_BYTES + (len(step.own.body) if step.own is not None else 0) for step in steps)
