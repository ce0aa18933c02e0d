"""Any sequence of operations leaves the store as a small model in memory says: values, revisions, history, every past state, every watch."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pillion.store.interface import ABSENT, CompactedError, ConflictError
from store_host import SqliteHost, until, watching

if TYPE_CHECKING:
    from pillion.store.interface import Change, Store

_KEYS = ("a", "a/b", "a/c", "b")
_KEPT = 20


class Put(NamedTuple):
    """Write; `expect` is the revision that the key has, with `off` added, or None."""

    key: str
    value: bytes
    expect: bool
    off: int


class Delete(NamedTuple):
    """Delete, likewise."""

    key: str
    expect: bool
    off: int


class Restart(NamedTuple):
    """The engine is closed and another started; watches resume where they were."""


class Churn(NamedTuple):
    """Many writes of one key, so that history is forgotten."""

    key: str
    times: int


_keys = st.sampled_from(_KEYS)
_off = st.sampled_from([0, 0, 0, -1, 1])
_operations = st.one_of(
    st.builds(Put, _keys, st.binary(max_size=5), st.booleans(), _off),
    st.builds(Delete, _keys, st.booleans(), _off),
    st.builds(Restart),
    st.builds(Churn, _keys, st.integers(1, 60)),
)


class Model:
    """What the store should hold: every change, and nothing else."""

    def __init__(self) -> None:
        self.changes: list[tuple[int, str, bytes | None]] = []

    @property
    def revision(self) -> int:
        return len(self.changes)

    def at(self, revision: int) -> dict[str, tuple[bytes, int, int]]:
        """Key to value, revision, created."""
        state: dict[str, tuple[bytes, int, int]] = {}
        for number, key, value in self.changes[:revision]:
            if value is None:
                del state[key]
            else:
                state[key] = (value, number, state[key][2] if key in state else number)
        return state

    def put(self, key: str, value: bytes | None) -> int:
        self.changes.append((self.revision + 1, key, value))
        return self.revision


class Machine:
    """Runs operations against store and model side by side."""

    def __init__(self, host: SqliteHost) -> None:
        self.host = host
        self.model = Model()
        self.stack = contextlib.AsyncExitStack()
        self.store: Store
        # What each watch has seen, over all of its lives.
        self.seen: list[tuple[int, str, bytes | None]] = []
        self.resume = 0

    async def start(self) -> None:
        self.store = await self.stack.enter_async_context(
            self.host.open("a", revisions=_KEPT, sync="normal")
        )
        self.watch = await self.stack.enter_async_context(watching(self.store, ("a",), self.resume))

    async def stop(self) -> None:
        await until("the watch has come to the end", self._has_all)
        assert self.watch.error is None
        self.seen += [shape(change) for change in self.watch.changes]
        self.resume = self.model.revision
        await self.stack.aclose()

    def _has_all(self) -> bool:
        wanted = [one for one in self.model.changes if one[1].startswith("a")]
        return self.watch.error is not None or len(self.seen) + len(self.watch.changes) >= len(
            wanted
        )

    async def run(self, operation: Put | Delete | Restart | Churn) -> None:
        if isinstance(operation, Restart):
            await self.stop()
            await self.start()
        elif isinstance(operation, Churn):
            for number in range(operation.times):
                await self.store.put(operation.key, b"%d" % number, writer="churn")
                self.model.put(operation.key, b"%d" % number)
        else:
            await self.write(operation)

    async def write(self, operation: Put | Delete) -> None:
        current = self.model.at(self.model.revision).get(operation.key)
        there = current[1] if current else ABSENT
        expect = max(0, there + operation.off) if operation.expect else None
        value = operation.value if isinstance(operation, Put) else None
        try:
            if value is not None:
                done = await self.store.put(operation.key, value, writer="w", expect=expect)
            else:
                deleted = await self.store.delete(operation.key, writer="w", expect=expect)
                if current is None:
                    assert deleted is None
                    return
                assert deleted is not None
                done = deleted
        except ConflictError as conflict:
            assert expect not in (None, there)
            found = conflict.current
            assert (None if found is None else (found.value, found.revision, found.created)) == (
                current
            )
            return
        assert expect in (None, there)
        assert done == self.model.put(operation.key, value)

    async def compacted(self) -> int:
        """Where history begins, once nothing more is being forgotten."""
        seen: list[int] = []
        while len(seen) < 4 or len(set(seen[-4:])) > 1:
            seen.append(await self.store.compacted())
            await asyncio.wait([asyncio.create_task(asyncio.sleep(0.01))])
        return seen[-1]

    async def check(self) -> None:
        """All of it, at the end."""
        store, model = self.store, self.model
        compacted = await self.compacted()
        if model.revision > 3 * _KEPT + 2 * 16:
            assert compacted > 0
        assert model.revision - compacted >= min(_KEPT, model.revision)
        for at in range(compacted, model.revision + 1):
            for prefix in ("", "a/"):
                entries = (await store.range(prefix, at=at)).entries
                assert {e.key: (e.value, e.revision, e.created) for e in entries} == {
                    key: one for key, one in model.at(at).items() if key.startswith(prefix)
                }
            async with watching(store, after=at) as watch:
                if at < model.revision:
                    await until("it has caught up", lambda w=watch: w.revision >= model.revision)  # type: ignore[misc]
                assert [shape(change) for change in watch.changes] == model.changes[at:]
        if compacted:
            with pytest.raises(CompactedError) as caught:
                await store.range("", at=compacted - 1)
            assert caught.value.compacted == compacted
        snapshot = await store.range("")
        assert snapshot.revision == model.revision
        for key in _KEYS:
            whole = [shape(change) for change in await store.history(key, limit=1000)]
            mine = [one for one in reversed(model.changes) if one[1] == key]
            assert whole == mine[: len(whole)]
            assert [one for one in mine if one[0] > compacted] == [
                one for one in whole if one[0] > compacted
            ]


def shape(change: Change) -> tuple[int, str, bytes | None]:
    return (change.revision, change.key, change.value)


# A failure is slow to come, since it is awaited: it is not made smaller.
@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(_operations, max_size=25))
def test_the_store_does_what_the_model_does(
    operations: list[Put | Delete | Restart | Churn],
) -> None:
    async def main(host: SqliteHost) -> None:
        machine = Machine(host)
        await machine.start()
        for operation in operations:
            await machine.run(operation)
        await machine.check()
        await machine.stop()
        assert machine.seen == [one for one in machine.model.changes if one[1].startswith("a")]

    with tempfile.TemporaryDirectory() as root, SqliteHost(root) as host:
        asyncio.run(main(host))
