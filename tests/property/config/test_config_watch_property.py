"""Whatever is written, wherever a stream is cut, whatever is forgotten: who resumes misses nothing and is told nothing that never was."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config_client import Client
from memory_store import Engine, MemoryStore
from pillion.config.feed import Feed
from pillion.config.keys import LAYERS, Scopes
from pillion.config.known import Known
from pillion.config.replica import Replica
from pillion.config.ring import Ring, Selection
from pillion.config.watching import Watching

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pillion.config.ring import Event

SCOPES = Scopes("prod", "shop", "shop-1")
KEYS = ("a", "a/x", "a/y", "b")
OTHERS = ("config/service/other/a", "locks/x")


class Model:
    """The layers written down in the plainest way, and every change of what holds, in order."""

    def __init__(self) -> None:
        self.layers: dict[str, dict[str, tuple[int, Any]]] = {layer: {} for layer in LAYERS}
        self.changes: list[tuple[int, str, str]] = []

    def holds(self, key: str) -> tuple[str, int, Any] | None:
        for layer in reversed(LAYERS):
            if key in self.layers[layer]:
                revision, value = self.layers[layer][key]
                return layer, revision, value
        return None

    def write(self, layer: str, key: str, value: Any, revision: int, *, delete: bool) -> None:
        before = self.holds(key)
        if delete:
            self.layers[layer].pop(key, None)
        else:
            self.layers[layer][key] = (revision, value)
        after = self.holds(key)
        if after != before:
            self.changes.append((revision, "delete" if after is None else "put", key))

    def view(self, selection: Selection) -> dict[str, tuple[str, int, Any]]:
        found = {}
        for key in KEYS:
            if selection.key in (None, key) and key.startswith(selection.prefix):
                held = self.holds(key)
                if held is not None:
                    found[key] = held
        return found

    def between(self, selection: Selection, after: int, upto: int) -> list[tuple[int, str, str]]:
        return [
            (revision, kind, key)
            for revision, kind, key in self.changes
            if after < revision <= upto
            and selection.key in (None, key)
            and key.startswith(selection.prefix)
        ]


@dataclass
class Sidecar:
    """One agent's replica, with its tasks, over an engine that others write to as well."""

    store: MemoryStore
    replica: Replica
    watching: Watching
    tasks: list[asyncio.Task[None]]

    @classmethod
    def start(cls, engine: Engine, most_steps: int, known: Known | None = None) -> Sidecar:
        store = MemoryStore(engine)
        replica = Replica(store, SCOPES, clock=lambda: 0.0)
        replica.feed = Feed(Ring(most_steps=most_steps))
        if known is not None:
            replica.load(known)
        tasks = [asyncio.create_task(replica.run()), asyncio.create_task(replica.confirm())]
        return cls(store, replica, Watching(store, replica), tasks)

    def keep(self) -> Known | None:
        """What it would have on disk."""
        shared, revision = self.store.shared, self.replica.tree.revision
        if revision < shared.compacted:
            return None
        return Known(shared.identity, revision, shared.at("", revision), 0.0)

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def turn() -> None:
    """Let everything that can go on go on; no time passes."""
    for _ in range(60):
        await asyncio.sleep(0)


class Watcher:
    """A client on a stream of a sidecar; it takes as many events as it is told to, and can be cut behind any."""

    def __init__(self, selection: Selection) -> None:
        self.client = Client()
        self.selection = selection
        self._source: AsyncGenerator[list[Event], None] | None = None
        self._next: asyncio.Task[list[Event]] | None = None
        self._pending: list[Event] = []

    def connect(self, sidecar: Sidecar) -> None:
        self.client.reconnect()
        self._pending = []
        self._source = sidecar.watching.follow(self.selection, self.client.last)

    async def read(self, most: int) -> None:
        """Take up to `most` events of what has come."""
        while most > 0:
            if not self._pending:
                assert self._source is not None
                if self._next is None:
                    self._next = asyncio.create_task(_anext(self._source))
                await turn()
                if not self._next.done():
                    return
                self._pending = self._next.result()
                self._next = None
                continue
            self.client.hear(self._pending.pop(0))
            most -= 1

    async def cut(self) -> None:
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
            self._next = None
        if self._source is not None:
            async with aclosing(self._source):
                pass
            self._source = None


async def _anext(source: AsyncGenerator[list[Event], None]) -> list[Event]:
    return await anext(source)


write = st.tuples(
    st.just("write"),
    st.sampled_from(LAYERS),
    st.sampled_from(KEYS),
    st.integers(0, 3),
    st.booleans(),
)
steps = st.one_of(
    write,
    write,
    write,
    st.tuples(st.just("other"), st.sampled_from(OTHERS)),
    st.tuples(st.just("read"), st.integers(1, 4)),
    st.tuples(st.just("read"), st.just(1000)),
    st.tuples(st.just("cut")),
    st.tuples(st.just("turn")),
    st.tuples(st.just("forget"), st.integers(0, 12)),
    st.tuples(st.just("away")),
    st.tuples(st.just("back")),
    st.tuples(st.just("restart"), st.booleans(), st.booleans()),
    st.tuples(st.just("keep")),
)
selections = st.sampled_from(
    [Selection(), Selection(prefix="a/"), Selection(key="a"), Selection(key="b")]
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(steps, min_size=5, max_size=60), selections, st.integers(1, 6), st.booleans())
def test_a_watcher_misses_nothing(
    script: list[tuple[Any, ...]], selection: Selection, most_steps: int, calm: bool
) -> None:
    if calm:
        script = [step for step in script if step[0] not in ("forget", "away")]
    asyncio.run(_play(script, selection, most_steps))


async def _play(script: list[tuple[Any, ...]], selection: Selection, most_steps: int) -> None:
    engine = Engine()
    model = Model()
    sidecar = Sidecar.start(engine, most_steps)
    await turn()
    watcher = Watcher(selection)
    watcher.connect(sidecar)
    known: Known | None = None
    remembered = True
    for name, *arguments in script:
        if name == "write":
            layer, key, number, delete = arguments
            where = SCOPES.store_key(layer, key)
            if delete and where not in engine.entries:
                continue
            value = None if delete else json.dumps(number).encode()
            revision = engine.write(where, value, "w", 1.0)
            model.write(layer, key, number, revision, delete=delete)
        elif name == "other":
            engine.write(arguments[0], b"0", "w", 1.0)
        elif name == "read":
            await watcher.read(arguments[0])
        elif name == "cut":
            await watcher.cut()
            watcher.connect(sidecar)
        elif name == "turn":
            await turn()
        elif name == "forget":
            engine.forget(max(engine.compacted, engine.revision - arguments[0]))
            remembered = False
        elif name == "away":
            sidecar.store.set_health(readable=False)
            remembered = False
        elif name == "back":
            sidecar.store.set_health()
        elif name == "restart":
            if not sidecar.store.health.readable:
                continue
            await watcher.cut()
            await sidecar.stop()
            with_known, at_once = arguments
            sidecar = Sidecar.start(engine, most_steps, known if with_known else None)
            if not (at_once and with_known and known is not None):
                await turn()
            watcher.connect(sidecar)
        elif name == "keep":
            known = sidecar.keep()
        if name in ("forget", "write", "other") and len(arguments) % 2:
            await turn()  # the replica is sometimes up to date, and sometimes behind by several
    sidecar.store.set_health()
    await turn()
    assert sidecar.replica.stale_since is None
    assert {
        key: (item.layer, item.revision, json.loads(item.value))
        for key, item in sidecar.replica.tree.effective.items()
    } == model.view(Selection())
    await watcher.read(100_000)
    await watcher.read(100_000)
    client = watcher.client
    assert client.seen == model.view(selection)
    # Told one by one, in order and each once, since its last snapshot.
    assert client.since is not None
    assert client.told == model.between(selection, client.since, engine.revision)
    # And no snapshot but the first, as long as the store knows what was.
    assert not (remembered and client.resets)
    await watcher.cut()
    await sidecar.stop()
    assert engine.wakers == set()
