"""Publishes schemas: only one that can be used, and that what is there keeps to, unless it is forced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.config.keys import ROOT, SCHEMAS, key_of
from pillion.config.preconditions import Outdated, Precondition
from pillion.config.schemas import Schema
from pillion.config.writing import ALWAYS, Breaks
from pillion.store.interface import ABSENT, ConflictError

if TYPE_CHECKING:
    from pillion.config.replica import Replica
    from pillion.config.validation import Validation
    from pillion.config.writing import Writing
    from pillion.model.event import Json
    from pillion.store.interface import Entry, Store

_SPACE = "schema"


class SchemaWriting:
    """The writes of schemas of one instance; they concern every service of the store."""

    def __init__(
        self, store: Store, replica: Replica, validation: Validation, writing: Writing
    ) -> None:
        self._store = store
        self._replica = replica
        self._validation = validation
        self._writing = writing

    async def put(
        self,
        name: str,
        raw: bytes,
        writer: str,
        wanted: Precondition = ALWAYS,
        *,
        force: bool = False,
    ) -> tuple[Schema, bool]:
        """Publish the schema `raw`; return it, and whether it is new. Raises `Outdated` and `Breaks`."""
        return await self._writing.whole(lambda: self._put(name, raw, writer, wanted, force=force))

    async def delete(self, name: str, writer: str, wanted: Precondition = ALWAYS) -> int | None:
        """Delete it and return the revision of that; None when there is none. Raises `Outdated`."""
        return await self._writing.whole(lambda: self._delete(name, writer, wanted))

    async def _put(
        self, name: str, raw: bytes, writer: str, wanted: Precondition, *, force: bool
    ) -> tuple[Schema, bool]:
        problems = await self._validation.schema_problems(raw)
        if problems:
            raise self._refused(name, writer, problems)
        schema = Schema(name, raw, 0, writer=writer)
        if not force and (problems := await self._broken(schema)):
            raise self._refused(name, writer, problems)
        _, old = await self._store.read(SCHEMAS + name)
        expect = self._expected(name, old, wanted)
        try:
            revision = await self._store.put(SCHEMAS + name, raw, writer=writer, expect=expect)
        except ConflictError as error:
            raise _outdated(name, error.current) from error
        self._writing.writes += 1
        await self._writing.arrived(revision)
        self._entered("put", name, revision, writer)
        # What was written while we looked was held against the schema before this one.
        if not force and (problems := await self._broken(schema)):
            await self._withdraw(name, revision, old, writer)
            raise self._refused(name, writer, problems)
        return Schema(name, raw, revision, writer=writer), old is None

    async def _delete(self, name: str, writer: str, wanted: Precondition) -> int | None:
        _, old = await self._store.read(SCHEMAS + name)
        expect = self._expected(name, old, wanted)
        if old is None:
            return None
        try:
            revision = await self._store.delete(SCHEMAS + name, writer=writer, expect=expect)
        except ConflictError as error:
            raise _outdated(name, error.current) from error
        if revision is None:
            return None
        self._writing.writes += 1
        await self._writing.arrived(revision)
        self._entered("delete", name, revision, writer)
        return revision

    async def _broken(self, schema: Schema) -> list[str]:
        """The values of every layer and service that would not keep to `schema`."""
        snapshot = await self._store.range(ROOT)
        schemas = self._replica.schemas
        values = [
            (entry.key.removeprefix(ROOT), entry.value)
            for entry in snapshot.entries
            if schema.concerns(key := key_of(entry.key)) and schema in schemas.applying(key, schema)
        ]
        return await self._validation.broken(schema, values) if values else []

    def _expected(self, name: str, old: Entry | None, wanted: Precondition) -> int | None:
        if wanted.absent:
            return None
        if not wanted.holds(b"" if old is None else b'"schema:%d"' % old.revision):
            raise _outdated(name, old)
        return ABSENT if old is None else old.revision

    async def _withdraw(self, name: str, revision: int, old: Entry | None, writer: str) -> None:
        try:
            if old is None:
                after = await self._store.delete(SCHEMAS + name, writer=writer, expect=revision)
            else:
                after = await self._store.put(
                    SCHEMAS + name, old.value, writer=writer, expect=revision
                )
        except ConflictError:
            return  # another has published since, and has looked itself
        self._writing.withdrawn += 1
        if after is not None:
            await self._writing.arrived(after)
            self._entered("withdraw", name, after, writer)

    def _refused(self, name: str, writer: str, problems: list[str]) -> Breaks:
        self._writing.refused += 1
        data: dict[str, Json] = {"action": "put", "schema": name, "writer": writer}
        self._writing.enter(
            "config-refused", f"put the schema {name}", {**data, "problems": len(problems)}
        )
        return Breaks(f"the schema {name}", problems)

    def _entered(self, what: str, name: str, revision: int, writer: str) -> None:
        data: dict[str, Json] = {
            "action": what,
            "schema": name,
            "revision": revision,
            "writer": writer,
        }
        self._writing.enter("config-changed", f"{what} the schema {name}", data)


def _outdated(name: str, current: Entry | None) -> Outdated:
    etag = b"" if current is None else b'"%s:%d"' % (_SPACE.encode(), current.revision)
    return Outdated(f"the schema {name}", etag)
