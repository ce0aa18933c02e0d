"""An engine of the store in memory that fails, hangs and forgets on command: a store elsewhere, as seen from here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pillion.store.interface import (
    Change,
    Changes,
    CompactedError,
    ConflictError,
    Entry,
    Health,
    LeaseEndedError,
    Snapshot,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable


class MemoryStore:
    """`fail` names operations that raise, `fail_after` those that raise when they are done; `hold` has one wait."""

    engine = "memory"
    identity = "memory"

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.leases: set[str] = set()
        self.changes: list[Change] = []
        self.revision = 0
        self.compacted_at = 0
        self.watchers = 0
        self.held = 0
        self.quiet = False
        self.fail: dict[str, Exception] = {}
        self.fail_after: dict[str, Exception] = {}
        self.health = Health(readable=True, writable=True)
        self._gates: dict[str, asyncio.Event] = {}
        self._news = asyncio.Event()
        self._callbacks: list[Callable[[Health], None]] = []
        self._granted = 0

    def hold(self, operation: str) -> asyncio.Event:
        """Have the next `operation` wait for the event that is returned."""
        self._gates[operation] = asyncio.Event()
        return self._gates[operation]

    def compact(self) -> None:
        """Forget what was, so that every watch breaks."""
        self.compacted_at = self.revision
        self._wake()

    def end(self, lease: str) -> None:
        """End a lease with its keys."""
        self.leases.discard(lease)
        for key in [k for k, e in self.entries.items() if e.lease == lease]:
            self._write(key, None, None)

    def on_health(self, callback: Callable[[Health], None]) -> None:
        self._callbacks.append(callback)

    def tell_health(self) -> None:
        for callback in self._callbacks:
            callback(self.health)

    async def start(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def read(self, key: str) -> tuple[int, Entry | None]:
        await self._begin("read")
        return self.revision, self.entries.get(key)

    async def range(self, prefix: str, *, at: int | None = None) -> Snapshot:
        await self._begin("range")
        found = sorted(k for k in self.entries if k.startswith(prefix))
        return Snapshot(self.revision, tuple(self.entries[k] for k in found))

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        writer: str,
        expect: int | None = None,
        lease: str | None = None,
    ) -> int:
        await self._begin("put")
        self._check(key, expect)
        if lease is not None and lease not in self.leases:
            raise LeaseEndedError(lease)
        revision = self._write(key, value, lease)
        self._end("put")
        return revision

    async def delete(self, key: str, *, writer: str, expect: int | None = None) -> int | None:
        await self._begin("delete")
        self._check(key, expect)
        return self._write(key, None, None) if key in self.entries else None

    async def watch(self, prefixes: tuple[str, ...], after: int) -> AsyncGenerator[Changes, None]:
        self.watchers += 1
        try:
            while True:
                if after < self.compacted_at:
                    raise CompactedError(after, self.compacted_at)
                if self.revision > after and not self.quiet:
                    news = [c for c in self.changes if c.revision > after]
                    after = self.revision
                    ours = tuple(c for c in news if c.key.startswith(prefixes))
                    yield Changes(after, ours)
                    continue
                await self._news.wait()
        finally:
            self.watchers -= 1

    async def history(self, key: str, *, limit: int, before: int | None = None) -> list[Change]:
        return [c for c in reversed(self.changes) if c.key == key][:limit]

    async def compacted(self) -> int:
        return self.compacted_at

    async def grant(self, ttl_s: float) -> str:
        await self._begin("grant")
        self._granted += 1
        lease = f"lease-{self._granted}"
        self.leases.add(lease)
        return lease

    async def keep_alive(self, lease: str) -> bool:
        await self._begin("keep_alive")
        return lease in self.leases

    async def revoke(self, lease: str) -> None:
        await self._begin("revoke")
        self.end(lease)

    async def _begin(self, operation: str) -> None:
        await asyncio.sleep(0)
        gate = self._gates.pop(operation, None)
        if gate is not None:
            self.held += 1
            await gate.wait()
            self.held -= 1
        if operation in self.fail:
            raise self.fail[operation]

    def _end(self, operation: str) -> None:
        if operation in self.fail_after:
            raise self.fail_after[operation]

    def _check(self, key: str, expect: int | None) -> None:
        current = self.entries.get(key)
        if expect is not None and expect != (current.revision if current else 0):
            raise ConflictError(key, current)

    def _write(self, key: str, value: bytes | None, lease: str | None) -> int:
        self.revision += 1
        before = self.entries.pop(key, None)
        if value is not None:
            self.entries[key] = Entry(
                key=key,
                value=value,
                revision=self.revision,
                created=before.created if before else self.revision,
                time_s=0.0,
                lease=lease,
            )
        self.changes.append(Change(key=key, value=value, revision=self.revision, time_s=0.0))
        self._wake()
        return self.revision

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
