"""A watcher's own view, made from nothing but the events of its stream; it can be cut off anywhere and come back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pillion.config.ring import Event


class Client:
    """`seen` is what it believes to hold; `last` the id to resume from; `told` the changes since its last snapshot."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[str, int, Any]] = {}
        self.last: int | None = None
        self.told: list[tuple[int | None, str, str]] = []
        self.since: int | None = None
        self.resets = 0
        self._snapshot: dict[str, tuple[str, int, Any]] | None = {}

    def reconnect(self) -> None:
        """Begin again where it was: from its last id, or from nothing."""
        self._snapshot = {} if self.last is None else None

    def hear(self, event: Event) -> None:
        self.take(event.kind, json.loads(event.data), event.revision)

    def take(self, kind: str, data: dict[str, Any], revision: int | None) -> None:
        if kind == "reset":
            self.resets += 1
            self._snapshot = {}
        elif kind == "current":
            assert self._snapshot is not None
            self.seen, self._snapshot = self._snapshot, None
            self.told = []
            self.since = revision
        elif self._snapshot is not None:
            assert kind == "put"
            assert revision is None
            self._snapshot[data["key"]] = (data["layer"], data["revision"], data["value"])
        else:
            if kind == "put":
                self.seen[data["key"]] = (data["layer"], data["revision"], data["value"])
            else:
                assert kind == "delete"
                self.seen.pop(data["key"], None)
            self.told.append((revision, kind, data["key"]))
        if revision is not None:
            assert self.last is None or revision >= self.last or self._snapshot is None
            self.last = revision
