"""A store in memory for tests of what stands on one: the whole contract but leases, with outages and forgetting at will.

Several handles share one engine, as the sidecars of a host do; each can be cut off from it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pillion.store.interface import (
    ABSENT,
    Change,
    Changes,
    CompactedError,
    ConflictError,
    Entry,
    Health,
    Snapshot,
    StoreFullError,
    StoreReadOnlyError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable


@dataclass
class Engine:
    """What all handles share."""

    identity: str = "one"
    revision: int = 0
    compacted: int = 0
    changes: list[Change] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    wakers: set[asyncio.Event] = field(default_factory=set)

    def write(self, key: str, value: bytes | None, writer: str, time_s: float) -> int:
        self.revision += 1
        change = Change(key=key, value=value, revision=self.revision, time_s=time_s, writer=writer)
        self.changes.append(change)
        if value is None:
            del self.entries[key]
        else:
            old = self.entries.get(key)
            self.entries[key] = Entry(
                key=key,
                value=value,
                revision=self.revision,
                created=self.revision if old is None else old.created,
                time_s=time_s,
                writer=writer,
            )
        self.wake()
        return self.revision

    def wake(self) -> None:
        for waker in self.wakers:
            waker.set()

    def forget(self, upto: int | None = None) -> None:
        """Compact: what was before `upto` cannot be gone back to."""
        self.compacted = self.revision if upto is None else min(upto, self.revision)

    def replace(self) -> None:
        """Become another, empty store."""
        self.identity += "+"
        self.revision = self.compacted = 0
        self.changes = []
        self.entries = {}
        self.wake()

    def at(self, prefix: str, revision: int) -> list[Entry]:
        if revision < self.compacted:
            raise CompactedError(revision, self.compacted)
        if revision > self.revision:
            raise ValueError(f"cannot read at revision {revision}: it is to come")
        found: dict[str, Entry] = {}
        for change in self.changes:
            if change.revision > revision or not change.key.startswith(prefix):
                continue
            if change.value is None:
                found.pop(change.key, None)
                continue
            old = found.get(change.key)
            found[change.key] = Entry(
                key=change.key,
                value=change.value,
                revision=change.revision,
                created=change.revision if old is None else old.created,
                time_s=change.time_s,
                writer=change.writer,
            )
        return [found[key] for key in sorted(found)]


class MemoryStore:
    """One handle of an engine; see `pillion.store.interface.Store`."""

    engine = "memory"

    def __init__(self, shared: Engine | None = None) -> None:
        self.shared = shared if shared is not None else Engine()
        self.health = Health(readable=True, writable=True)
        self.before_put: Callable[[], object] | None = None
        self._callbacks: list[Callable[[Health], None]] = []

    @property
    def identity(self) -> str:
        return self.shared.identity

    def on_health(self, callback: Callable[[Health], None]) -> None:
        self._callbacks.append(callback)

    def set_health(self, *, readable: bool = True, writable: bool = True) -> None:
        """Cut this handle off, or bring it back."""
        reason = "" if readable and writable else "cannot use the store: it is away; wait"
        self.health = Health(
            readable=readable, writable=writable, reason=reason, since_s=time.time()
        )
        for callback in self._callbacks:
            callback(self.health)
        self.shared.wake()

    async def start(self) -> None:
        return

    async def close(self) -> None:
        return

    async def read(self, key: str) -> tuple[int, Entry | None]:
        await self._reach()
        return self.shared.revision, self.shared.entries.get(key)

    async def range(self, prefix: str, *, at: int | None = None) -> Snapshot:
        await self._reach()
        shared = self.shared
        if at is not None:
            return Snapshot(shared.revision, tuple(shared.at(prefix, at)))
        found = [shared.entries[key] for key in sorted(shared.entries) if key.startswith(prefix)]
        return Snapshot(shared.revision, tuple(found))

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        writer: str,
        expect: int | None = None,
        lease: str | None = None,
    ) -> int:
        await self._reach(writing=True)
        if self.before_put is not None:
            hook, self.before_put = self.before_put, None
            hook()
        self._compare(key, expect)
        return self.shared.write(key, value, writer, 1000.0 + self.shared.revision)

    async def delete(self, key: str, *, writer: str, expect: int | None = None) -> int | None:
        await self._reach(writing=True)
        self._compare(key, expect)
        if key not in self.shared.entries:
            return None
        return self.shared.write(key, None, writer, 1000.0 + self.shared.revision)

    async def watch(self, prefixes: tuple[str, ...], after: int) -> AsyncGenerator[Changes, None]:
        identity = self.shared.identity
        waker = asyncio.Event()
        self.shared.wakers.add(waker)
        try:
            while True:
                waker.clear()
                if self.health.readable:
                    shared = self.shared
                    if after < shared.compacted or after > shared.revision:
                        raise CompactedError(after, shared.compacted)
                    if identity != shared.identity:
                        raise CompactedError(after, after)
                    if after < shared.revision:
                        found = tuple(
                            change
                            for change in shared.changes
                            if change.revision > after and change.key.startswith(prefixes)
                        )
                        after = shared.revision
                        yield Changes(after, found)
                        continue
                await waker.wait()
        finally:
            self.shared.wakers.discard(waker)

    async def history(self, key: str, *, limit: int, before: int | None = None) -> list[Change]:
        await self._reach()
        found = [
            change
            for change in reversed(self.shared.changes)
            if change.key == key and (before is None or change.revision < before)
        ]
        return found[:limit]

    async def compacted(self) -> int:
        return self.shared.compacted

    async def grant(self, ttl_s: float) -> str:
        raise NotImplementedError

    async def keep_alive(self, lease: str) -> bool:
        raise NotImplementedError

    async def revoke(self, lease: str) -> None:
        raise NotImplementedError

    def _compare(self, key: str, expect: int | None) -> None:
        current = self.shared.entries.get(key)
        if expect is not None and expect != (ABSENT if current is None else current.revision):
            raise ConflictError(key, current)

    async def _reach(self, *, writing: bool = False) -> None:
        await asyncio.sleep(0)  # every call gives others their turn, as with a real engine
        if not self.health.readable:
            raise StoreUnavailableError(self.health.reason)
        if writing and not self.health.writable:
            kind = StoreFullError if "full" in self.health.reason else StoreReadOnlyError
            raise kind(self.health.reason)
