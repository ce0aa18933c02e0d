"""Writes: held against schemas, compared and set by the store, awaited in our own replica, and entered in the journal.

The store compares one key at a time, so a value can pass an old schema while another sidecar publishes a new one.
Whoever has written looks again at the schemas as of its own revision, and withdraws what does not keep to them: for the
milliseconds between, watchers may see such a value, and history says so.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from pillion.config.items import Item, etag_of
from pillion.config.preconditions import Outdated, Precondition
from pillion.errors import PillionError, RefusedError
from pillion.store.interface import ABSENT, ConflictError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pillion.base.tasks import RootTasks
    from pillion.config.replica import Replica
    from pillion.config.schemas import Schema
    from pillion.config.validation import Validation
    from pillion.model.event import Json
    from pillion.store.interface import Entry, Store

T = TypeVar("T")

ARRIVE_S = 2.0
"""For our own write to come back to us by the watch."""
ALWAYS = Precondition()


class Breaks(PillionError):
    """A value does not keep to its schemas, or a schema is none; `problems` says each way."""

    def __init__(self, what: str, problems: list[str]) -> None:
        super().__init__(f"cannot publish {what}: {problems[0]}")
        self.problems = problems


class Journal(Protocol):
    """Where writes are entered; never with a value."""

    def __call__(self, kind: str, reason: str, data: dict[str, Json]) -> None:
        """Make an entry."""


class Written(msgspec.Struct, frozen=True):
    """What a write has made of a key in its layer: `item` is None when it is gone, `created` when it is new."""

    item: Item | None
    revision: int
    created: bool = False


class Writing:
    """The writes of one instance."""

    def __init__(
        self,
        store: Store,
        replica: Replica,
        validation: Validation,
        tasks: RootTasks,
        journal: Journal,
    ) -> None:
        self._store = store
        self._replica = replica
        self._validation = validation
        self._tasks = tasks
        self._journal = journal
        self.writes = 0
        self.refused = 0
        self.withdrawn = 0
        self.late = 0

    async def put(
        self, key: str, layer: str, value: bytes, writer: str, wanted: Precondition = ALWAYS
    ) -> Written:
        """Publish `value`, which is JSON. Raises `Outdated`, `Breaks`, and what the store raises."""
        return await self.whole(lambda: self._put(key, layer, value, writer, wanted))

    async def delete(
        self, key: str, layer: str, writer: str, wanted: Precondition = ALWAYS
    ) -> Written | None:
        """Take `key` out of `layer`; None when it was not there. Raises as `put` does."""
        return await self.whole(lambda: self._delete(key, layer, writer, wanted))

    async def arrived(self, revision: int) -> None:
        """Wait until our own write is in the replica, so that who wrote reads what it wrote."""
        if not await self._replica.reach(revision, ARRIVE_S):
            self.late += 1

    def enter(self, kind: str, reason: str, data: dict[str, Json]) -> None:
        """Enter a write in the journal."""
        self._journal(kind, reason, data)

    async def whole(self, write: Callable[[], Awaitable[T]]) -> T:
        """Do `write`; one that has begun ends and is entered, though its client has left."""
        task = self._tasks.start("config: write", _caught(write), may_end=True)
        outcome = await asyncio.shield(task)
        if isinstance(outcome, PillionError):
            raise outcome
        return outcome

    async def _put(
        self, key: str, layer: str, value: bytes, writer: str, wanted: Precondition
    ) -> Written:
        where = self._replica.tree.scopes.store_key(layer, key)
        generation = self._replica.schemas.generation
        await self._keeps_to(key, layer, value, self._replica.schemas.applying(key), writer)
        old = self._replica.tree.item(key, layer)
        expect = await self._expected(key, layer, wanted)
        try:
            revision = await self._store.put(where, value, writer=writer, expect=expect)
        except ConflictError as error:
            raise self._outdated(key, layer, error.current) from error
        self.writes += 1
        await self.arrived(revision)
        self._entered("put", key, layer, revision, writer)
        item = self._replica.tree.item(key, layer)
        if item is None or item.revision != revision:
            # Another has written since, or it has not come back in time: this is what we wrote all the same.
            created = revision if old is None else old.created
            item = Item(key, layer, value, revision, created=created, writer=writer)
        if self._replica.schemas.generation != generation:
            await self._look_again(item, writer)
        return Written(item, revision, created=item.created == revision)

    async def _delete(
        self, key: str, layer: str, writer: str, wanted: Precondition
    ) -> Written | None:
        where = self._replica.tree.scopes.store_key(layer, key)
        expect = await self._expected(key, layer, wanted)
        if expect == ABSENT:
            return None
        try:
            revision = await self._store.delete(where, writer=writer, expect=expect)
        except ConflictError as error:
            raise self._outdated(key, layer, error.current) from error
        if revision is None:
            return None
        self.writes += 1
        await self.arrived(revision)
        self._entered("delete", key, layer, revision, writer)
        return Written(None, revision)

    async def _expected(self, key: str, layer: str, wanted: Precondition) -> int | None:
        """The revision that the store is to compare with; `Outdated` when the precondition does not hold already.

        The tag of a weaker layer is one of ours too: it says that nothing in this layer hides what was read.
        """
        if wanted.absent:
            return None
        revision = wanted.revision(layer)
        if revision is not None:
            return revision
        if wanted.creates:
            return ABSENT
        own, etag = await self._present(key, layer)
        if not wanted.holds(etag):
            raise Outdated(f"{key} in the layer {layer}", etag)
        return ABSENT if own is None else own.revision

    async def _present(self, key: str, layer: str) -> tuple[Entry | None, bytes]:
        """What the store has for `key` in `layer`, and the tag of what holds there or, with nothing there, below."""
        scopes = self._replica.tree.scopes
        _, own = await self._store.read(scopes.store_key(layer, key))
        if own is not None:
            return own, etag_of(layer, own.revision)
        below = self._replica.tree.up_to(key, layer)
        if below is None or below.layer == layer:
            return None, b""
        return None, below.etag

    def _outdated(self, key: str, layer: str, current: Entry | None) -> Outdated:
        if current is not None:
            etag = etag_of(layer, current.revision)
        else:
            below = self._replica.tree.up_to(key, layer)
            etag = b"" if below is None or below.layer == layer else below.etag
        return Outdated(f"{key} in the layer {layer}", etag)

    async def _keeps_to(
        self, key: str, layer: str, value: bytes, schemas: tuple[Schema, ...], writer: str
    ) -> None:
        problems = await self._validation.problems(schemas, value)
        if problems:
            self.refused += 1
            reason = f"put {key} in the layer {layer}: it does not keep to its schema"
            data: dict[str, Json] = {"action": "put", "key": key, "layer": layer, "writer": writer}
            self._journal("config-refused", reason, {**data, "problems": len(problems)})
            raise Breaks(f"{key} in the layer {layer}", problems)

    async def _look_again(self, item: Item, writer: str) -> None:
        """A schema came while we wrote: keep to it, or undo the write as long as nobody has built on it."""
        schemas = self._replica.schemas.applying(item.key)
        if not await self._validation.problems(schemas, item.value):
            return
        scopes = self._replica.tree.scopes
        where = scopes.store_key(item.layer, item.key)
        old = await self._store.history(where, limit=1, before=item.revision)
        before = old[0].value if old and item.created != item.revision else None
        try:
            if before is None:
                revision = await self._store.delete(where, writer=writer, expect=item.revision)
            else:
                revision = await self._store.put(where, before, writer=writer, expect=item.revision)
        except ConflictError:
            return  # another has written since, and answers for it
        self.withdrawn += 1
        if revision is not None:
            await self.arrived(revision)
            self._entered("withdraw", item.key, item.layer, revision, writer)
        await self._keeps_to(item.key, item.layer, item.value, schemas, writer)

    def _entered(self, what: str, key: str, layer: str, revision: int, writer: str) -> None:
        data: dict[str, Json] = {
            "action": what,
            "key": key,
            "layer": layer,
            "revision": revision,
            "writer": writer,
        }
        self._journal("config-changed", f"{what} {key} in the layer {layer}", data)


async def _caught(write: Callable[[], Awaitable[T]]) -> T | PillionError:
    """What `write` gives; its refusal as a value, since a refused write is no failed task."""
    try:
        return await write()
    except PillionError as error:
        return error
    except ValueError as error:
        return RefusedError(413, "Content Too Large", f"cannot write this: {error}")
