"""The layers of one instance in memory, and what holds when they are laid over each other: pure, and fed by the store's changes."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import msgspec

from pillion.config.items import Item, problem_with
from pillion.config.keys import LAYERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pillion.config.keys import Scopes
    from pillion.store.interface import Change, Entry

MOST_BYTES = 128 << 20
"""Of values: above any store's usual quota. What goes beyond is held without its value, and counted."""


class Step(msgspec.Struct, frozen=True):
    """One change: `own` is what `layer` holds for `key` now, `effective` what holds over all layers; None is nothing.

    `shows` says whether what holds over all layers has changed with it.
    """

    revision: int
    key: str
    layer: str
    own: Item | None
    effective: Item | None
    shows: bool


class Tree:
    """A replica of the layers of `scopes` as of `revision` of the store.

    `effective` is the view over all layers, and stays the same dictionary.
    """

    def __init__(self, scopes: Scopes, *, most_bytes: int = MOST_BYTES) -> None:
        self.scopes = scopes
        self.revision = 0
        self.effective: dict[str, Item] = {}
        self.size_bytes = 0
        self.omitted = 0
        self._most_bytes = most_bytes
        self._layers: dict[str, dict[str, Item]] = {layer: {} for layer in LAYERS}
        self._falling = tuple(self._layers[layer] for layer in reversed(LAYERS))
        self._sorted: list[str] | None = None

    def __len__(self) -> int:
        """How many values are held, over all layers."""
        return sum(map(len, self._layers.values()))

    def item(self, key: str, layer: str | None = None) -> Item | None:
        """What holds for `key`, or what `layer` says alone."""
        return (self.effective if layer is None else self._layers[layer]).get(key)

    def up_to(self, key: str, layer: str) -> Item | None:
        """What holds for `key` when nothing above `layer` is looked at."""
        for name in reversed(LAYERS[: LAYERS.index(layer) + 1]):
            item = self._layers[name].get(key)
            if item is not None:
                return item
        return None

    def items(self, prefix: str = "", layer: str | None = None) -> list[Item]:
        """Every item whose key begins with `prefix`, in the order of keys."""
        if layer is not None:
            found = self._layers[layer]
            return [found[key] for key in sorted(found) if key.startswith(prefix)]
        if self._sorted is None:
            self._sorted = sorted(self.effective)
        keys = self._sorted
        start = bisect_left(keys, prefix)
        items = []
        for index in range(start, len(keys)):
            if not keys[index].startswith(prefix):
                break
            items.append(self.effective[keys[index]])
        return items

    def everything(self) -> list[Item]:
        """Every item of every layer."""
        return [item for layer in self._layers.values() for item in layer.values()]

    def agrees(self, entries: Iterable[Entry], covers: str = "", layer: str | None = None) -> bool:
        """Whether `entries` are just what is here, of the keys that begin with `covers`, in `layer` or in all."""
        left = sum(
            key.startswith(covers)
            for name, items in self._layers.items()
            if layer is None or layer == name
            for key in items
        )
        for entry in entries:
            where = self.scopes.locate(entry.key)
            if where is None:
                continue
            item = self._layers[where[0]].get(where[1])
            if item is None or not _same(item, entry):
                return False
            left -= 1
        return left == 0

    def apply(self, change: Change) -> Step | None:
        """Take in one change; None when it is another's, known already, or takes away what was not there."""
        where = self.scopes.locate(change.key)
        if where is None or change.revision < self.revision:
            return None
        layer, key = where
        old = self._layers[layer].get(key)
        if old is not None and change.revision <= old.revision:
            return None
        if change.value is None:
            if old is None:
                return None
            new = None
        else:
            new = self._make(
                key,
                layer,
                change.value,
                change.revision,
                created=change.revision if old is None else old.created,
                time_s=change.time_s,
                writer=change.writer,
                room=0 if old is None else len(old.body),
            )
        before = self.effective.get(key)
        self._set(layer, key, new)
        now = self._resolve(key)
        return Step(change.revision, key, layer, new, now, before is not now)

    def adopt(self, entries: Iterable[Entry], revision: int) -> list[Step]:
        """Become what `entries` say; return what that changes, as changes of `revision`.

        A key that changes in several layers shows once: what would have held in between never did.
        """
        wanted = {
            where: entry
            for entry in entries
            if (where := self.scopes.locate(entry.key)) is not None
        }
        touched: list[tuple[str, str]] = []
        for layer, items in self._layers.items():
            for key in [key for key in items if (layer, key) not in wanted]:
                self._set(layer, key, None)
                touched.append((layer, key))
        for (layer, key), entry in wanted.items():
            old = self._layers[layer].get(key)
            if old is not None and _same(old, entry):
                continue
            new = self._make(
                key,
                layer,
                entry.value,
                entry.revision,
                created=entry.created,
                time_s=entry.time_s,
                writer=entry.writer,
                room=0 if old is None else len(old.body),
            )
            self._set(layer, key, new)
            touched.append((layer, key))
        self.revision = revision
        steps = []
        for layer, key in touched:
            before = self.effective.get(key)
            now = self._resolve(key)
            own = self._layers[layer].get(key)
            steps.append(Step(revision, key, layer, own, now, before is not now))
        return steps

    def _make(
        self,
        key: str,
        layer: str,
        value: bytes,
        revision: int,
        *,
        created: int,
        time_s: float,
        writer: str,
        room: int,
    ) -> Item:
        omitted = problem_with(value)
        if not omitted and self.size_bytes - room + len(value) > self._most_bytes:
            omitted = f"more than {self._most_bytes} bytes of values"
        return Item(
            key,
            layer,
            value,
            revision,
            created=created,
            time_s=time_s,
            writer=writer,
            omitted=omitted,
        )

    def _set(self, layer: str, key: str, new: Item | None) -> None:
        items = self._layers[layer]
        old = items.get(key)
        if old is not None:
            self.size_bytes -= len(old.body)
            self.omitted -= bool(old.omitted)
        if new is None:
            items.pop(key, None)
        else:
            items[key] = new
            self.size_bytes += len(new.body)
            self.omitted += bool(new.omitted)

    def _resolve(self, key: str) -> Item | None:
        """Look anew what holds for `key`."""
        for items in self._falling:
            item = items.get(key)
            if item is not None:
                if key not in self.effective:
                    self._sorted = None
                self.effective[key] = item
                return item
        if self.effective.pop(key, None) is not None:
            self._sorted = None
        return None


def _same(item: Item, entry: Entry) -> bool:
    """Whether they are one write; another store may have come to the same revision with another value."""
    return (item.revision, item.created) == (entry.revision, entry.created) and (
        bool(item.omitted) or item.value == entry.value
    )
