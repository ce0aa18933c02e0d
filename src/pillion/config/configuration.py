"""The configuration of one instance, as the agent's other parts and the API see it: everything about it in one place."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pillion.config.items import decoded
from pillion.config.known import Keeping, path_of, read_known
from pillion.config.replica import Replica
from pillion.config.schema_writing import SchemaWriting
from pillion.config.validation import Validation
from pillion.config.watching import Watching
from pillion.config.writing import Journal, Writing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pillion.base.tasks import RootTasks
    from pillion.config.keys import Scopes
    from pillion.config.tree import Step
    from pillion.model.stats import Stats
    from pillion.store.interface import Store


class Configuration:
    """Reads from memory, writes to the store, and tells who watches; make it in the loop, then `start`.

    What was kept in `state_dir` from the last time is there at once, marked stale until the store has been asked; `source`
    names that store, so that what another one said is not taken for it.
    """

    def __init__(
        self,
        store: Store,
        scopes: Scopes,
        tasks: RootTasks,
        journal: Journal,
        *,
        state_dir: str,
        source: str,
    ) -> None:
        self.store = store
        self.scopes = scopes
        self.replica = Replica(store, scopes)
        self.effective = self.replica.tree.effective
        self.watching = Watching(store, self.replica)
        validation = Validation()
        self.writing = Writing(store, self.replica, validation, tasks, journal)
        self.schema_writing = SchemaWriting(store, self.replica, validation, self.writing)
        self.waiting = 0
        self._tasks = tasks
        self._keeping = Keeping(path_of(state_dir), source, self.replica)
        self._callbacks: list[Callable[[frozenset[str]], None]] = []
        self._started = False
        known = read_known(path_of(state_dir), source, time.time())
        if known is not None:
            self.replica.load(known)
        self.replica.on_steps.append(self._stepped)

    def start(self) -> None:
        """Follow the store, and keep what it says."""
        self._started = True
        self._tasks.start("config: follow the store", self.replica.run())
        self._tasks.start("config: confirm", self.replica.confirm())
        self._tasks.start("config: keep", self._keeping.run())

    def retire(self) -> None:
        """Another takes over, or nobody: note until when what is kept was true."""
        if self._started and self.replica.fresh:
            self._keeping.was_current()

    # What the projections stand on.

    def get(self, key: str) -> object | None:
        """The value of `key` over all layers; None when there is none."""
        item = self.effective.get(key)
        return None if item is None or item.omitted else decoded(item.value)

    def items(self, prefix: str) -> Mapping[str, object]:
        """Every key that begins with `prefix`, whole, with its value."""
        items = self.replica.tree.items(prefix)
        return {item.key: decoded(item.value) for item in items if not item.omitted}

    def on_change(self, callback: Callable[[frozenset[str]], None]) -> None:
        """Have `callback` called from the loop with the keys that have changed; an empty set: any of them may have."""
        self._callbacks.append(callback)

    def stats(self) -> Stats:
        """What is counted."""
        replica, writing, feed = self.replica, self.writing, self.replica.feed
        return {
            "config_keys": len(self.effective),
            "config_values": len(replica.tree),
            "config_bytes": replica.tree.size_bytes,
            "config_omitted": replica.tree.omitted,
            "config_schemas": len(replica.schemas),
            "config_revision": replica.tree.revision,
            "config_stale_seconds": replica.stale_s() or 0,
            "config_watchers": len(feed),
            "config_watchers_reset_total": self.watching.resets,
            "config_changes_replayed_total": self.watching.replayed,
            "config_ring_dropped_total": feed.ring.dropped,
            "config_snapshots_total": replica.snapshots,
            "config_writes_total": writing.writes,
            "config_writes_refused_total": writing.refused,
            "config_writes_withdrawn_total": writing.withdrawn,
            "config_writes_late_total": writing.late,
            "config_kept_total": self._keeping.written,
            "config_keep_failures_total": self._keeping.failed,
        }

    def _stepped(self, steps: list[Step]) -> None:
        self._keeping.changed()
        keys = frozenset(step.key for step in steps if step.shows)
        if keys or not steps:
            for callback in self._callbacks:
                callback(keys)
