"""What was: history of a key, the layers as of a revision, what came after one, and the difference of two views."""

from __future__ import annotations

from contextlib import aclosing
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from pillion.config.keys import LAYERS
from pillion.config.ring import Group, Selection
from pillion.config.tree import Tree
from pillion.errors import RefusedError, UsageError
from pillion.store.interface import CompactedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pillion.config.items import Item
    from pillion.config.keys import Scopes
    from pillion.store.interface import Change, Entry, Store


class Past(msgspec.Struct, frozen=True):
    """One change of a key in the past; `value` is None where it was deleted."""

    layer: str
    change: Change


class View(msgspec.Struct, frozen=True):
    """One side of a comparison: over all layers or one alone, now or as of `revision`."""

    layer: str | None = None
    revision: int | None = None

    def __str__(self) -> str:
        """As it is written: `service@17`, `service`, `@17`, `now`."""
        return (self.layer or "") + (
            f"@{self.revision}" if self.revision is not None else ""
        ) or "now"


class Difference(msgspec.Struct, frozen=True):
    """A key that two views do not agree on; None where it is not there."""

    key: str
    before: Item | None
    after: Item | None


def read_view(text: str | None, layer: str | None) -> View:
    """The view that `text` names: `now`, a revision (`17`), a layer, or both (`service@17`); `layer` where it names none.

    Raises `UsageError`.
    """
    if text is None or text == "now":
        return View(layer)
    name, at, number = text.rpartition("@")
    if not at and not number.isdigit():
        name, number = number, ""
    if name and name not in LAYERS:
        raise UsageError(
            f"cannot use the layer {name[:32]!r}: there are {', '.join(LAYERS)}; or write a revision, or now"
        )
    if not number:
        return View(name or layer)
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise UsageError(f"cannot use the revision {number[:32]!r}: write a number")
    return View(name or layer, int(number))


async def history(
    store: Store,
    scopes: Scopes,
    key: str,
    layer: str | None,
    *,
    limit: int,
    before: int | None = None,
) -> list[Past]:
    """The last `limit` changes of `key`, of one layer or of all together, newest first."""
    found = []
    for name, prefix in scopes.prefixes.items():
        if layer is None or layer == name:
            changes = await store.history(prefix + key, limit=limit, before=before)
            found += [Past(name, change) for change in changes]
    found.sort(key=lambda past: past.change.revision, reverse=True)
    return found[:limit]


async def as_of(store: Store, scopes: Scopes, selection: Selection, revision: int) -> Tree:
    """What the selected keys were in every layer at `revision`. Raises as `Store.range` does."""
    tree = Tree(scopes)
    entries: list[Entry] = []
    for prefix in _prefixes(scopes, selection):
        entries += (await store.range(prefix, at=revision)).entries
    tree.adopt(entries, revision)
    return tree


async def as_of_known(store: Store, scopes: Scopes, selection: Selection, revision: int) -> Tree:
    """As `as_of`, for a revision that somebody has asked for: `RefusedError` 410 when it is forgotten, 400 when it is to come."""
    try:
        return await as_of(store, scopes, selection, revision)
    except CompactedError as error:
        raise RefusedError(410, "Gone", f"{error}") from error
    except ValueError as error:
        raise RefusedError(400, "Bad Request", f"{error}") from error


async def replay(
    store: Store, scopes: Scopes, selection: Selection, after: int
) -> AsyncGenerator[tuple[int, list[Group]], None]:
    """The changes of the selected keys after revision `after`, as groups, each time with how far they go; without end.

    Raises `CompactedError`, and `ValueError` when the store has not come to `after`.
    """
    tree = await as_of(store, scopes, selection, after)
    watch = store.watch(tuple(_prefixes(scopes, selection)), after)
    async with aclosing(watch) as changes:
        async for some in changes:
            groups = []
            for revision, together in groupby(some.changes, key=lambda change: change.revision):
                steps = [step for one in together if (step := tree.apply(one)) is not None]
                if steps:
                    groups.append(Group(revision, tuple(steps)))
            tree.revision = some.revision
            yield some.revision, groups


def differences(
    before: tuple[Tree, str | None], after: tuple[Tree, str | None], selection: Selection
) -> list[Difference]:
    """The keys on which two views, each a tree and a layer of it or all, do not agree."""
    sides = []
    for tree, layer in (before, after):
        if selection.key is None:
            items = tree.items(selection.prefix, layer)
        else:
            item = tree.item(selection.key, layer)
            items = [] if item is None else [item]
        sides.append({item.key: item for item in items})
    old, new = sides
    found = []
    for key in sorted({*old, *new}):
        was, now = old.get(key), new.get(key)
        if was is None or now is None or was.value != now.value:
            found.append(Difference(key, was, now))
    return found


def _prefixes(scopes: Scopes, selection: Selection) -> list[str]:
    if selection.layer is None:
        return [prefix + selection.covers for prefix in scopes.prefixes.values()]
    return [scopes.store_key(selection.layer, selection.covers)]
