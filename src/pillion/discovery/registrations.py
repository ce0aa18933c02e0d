"""Registrations by hand, for what has no sidecar: they lie in the store, and this follows them into the registry.

A registration with a `ttl` hangs on a lease that is renewed by putting it again; putting what is there already
renews, and writes nothing. What was registered through this agent is put again when the store comes back without
it, after a random wait, so that not all agents of a host do it in the same moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pillion.discovery.instance import ServiceInstance, decode, encode
from pillion.discovery.known import Keeping, read_known
from pillion.errors import RefusedError
from pillion.store.interface import (
    ABSENT,
    LEASE_EXPIRED,
    CompactedError,
    ConflictError,
    LeaseEndedError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.base.tasks import RootTasks
    from pillion.discovery.registry import Registry
    from pillion.store.interface import Change, Entry, Snapshot, Store

PREFIX = "services/"
MOST_OURS = 10_000
PUT_AGAIN_S = 3.0
"""Within how many seconds after the store's return ours are put again."""

_CATCH_UP_S = 1.0
_BACKOFF_S = (0.2, 5.0)
_ATTEMPTS = 8


class Put(NamedTuple):
    """What became of a registration: whether it is new, whether anything was written."""

    instance: ServiceInstance
    created: bool
    written: bool


class _Own(msgspec.Struct):
    instance: ServiceInstance
    renewed_s: float

    def is_over(self, now_s: float) -> bool:
        """Whether its holder has stopped renewing it."""
        ttl_s = self.instance.ttl_s
        return ttl_s is not None and now_s - self.renewed_s > ttl_s


class Registrations:
    """The registrations under `PREFIX`. `refused` counts entries of the store that are none; `put_again` what was put again.

    `audit(kind, instance)` is told of what was done through this agent. At `path` the last known is kept; None keeps none.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        tasks: RootTasks,
        *,
        audit: Callable[[str, ServiceInstance], None],
        path: str | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._registry = registry
        self._tasks = tasks
        self._audit = audit
        self._now_s = now_s
        self._ours: dict[str, _Own] = {}
        self._seen = 0
        self._loaded = False
        self._path = path
        self._keeping = None if path is None else Keeping(path, lambda: registry.registrations)
        self.as_of_s: float | None = None
        self._news = asyncio.Event()
        self._healthy = asyncio.Event()
        self._again: asyncio.Task[None] | None = None
        self._started = False
        self.refused = 0
        self.put_again = 0

    def start(self) -> None:
        """Follow the store from now on."""
        if not self._started:
            self._started = True
            self._store.on_health(lambda _: self._healthy.set())
            self._tasks.start("discovery: follow the store", self._follow())
            if self._keeping is not None:
                self._tasks.start("discovery: keep what is known", self._keeping.run())

    async def loaded(self) -> None:
        """Wait until the registrations have been read for the first time."""
        while not self._loaded:
            await self._next_news()

    # What clients do.

    async def put(self, wanted: ServiceInstance, writer: str, now: str) -> Put:
        """Register `wanted`, or renew it when that is what is there. `now` is RFC 3339.

        Raises `StoreUnavailableError`, `RefusedError` when the registry is full or others write it all the time.
        """
        key = _key(wanted.service, wanted.id)
        for _ in range(_ATTEMPTS):
            _, entry = await self._store.read(key)
            present = None if entry is None else _instance_of(entry.key, entry.value)
            if entry is not None and present is not None and _same(present, wanted):
                if await self._renewed(entry):
                    self._remember(key, present)
                    return Put(present, created=False, written=False)
            elif entry is None:
                self._refuse_when_full(wanted)
            instance = msgspec.structs.replace(wanted, since=now)
            expected = ABSENT if entry is None else entry.revision
            try:
                revision = await self._write(key, instance, writer, expected)
            except (ConflictError, LeaseEndedError):
                continue  # another has been quicker, or the store slower than the lease: look again
            self._remember(key, instance)
            self._audit("registered", instance)
            await self._reached(revision)
            return Put(instance, created=entry is None, written=True)
        raise RefusedError(
            409,
            "Conflict",
            f"cannot register {wanted.id}: others change it all the time; try again",
        )

    async def delete(self, service: str, instance_id: str, writer: str) -> bool:
        """Take a registration away; False when there is none. Raises `StoreUnavailableError`."""
        key = _key(service, instance_id)
        _, entry = await self._store.read(key)
        self._ours.pop(key, None)
        if entry is None:
            return False
        revision = await self._store.delete(key, writer=writer)
        if revision is None:
            return False
        instance = _instance_of(entry.key, entry.value)
        if instance is not None:
            self._audit("deregistered", instance)
        await self._reached(revision)
        return True

    def _refuse_when_full(self, wanted: ServiceInstance) -> None:
        if not self._registry.has_room(wanted):
            raise RefusedError(
                507,
                "Insufficient Storage",
                f"cannot register {wanted.id}: the registry is full; deregister what is gone",
            )

    async def _write(
        self, key: str, instance: ServiceInstance, writer: str, expect: int | None
    ) -> int:
        lease = None if instance.ttl_s is None else await self._store.grant(instance.ttl_s)
        try:
            return await self._store.put(
                key, encode(instance), writer=writer, expect=expect, lease=lease
            )
        except BaseException:
            if lease is not None:
                with contextlib.suppress(StoreUnavailableError):
                    await self._store.revoke(lease)
            raise

    async def _renewed(self, entry: Entry) -> bool:
        return entry.lease is None or await self._store.keep_alive(entry.lease)

    def _remember(self, key: str, instance: ServiceInstance) -> None:
        self._ours.pop(key, None)
        if len(self._ours) >= MOST_OURS:
            del self._ours[next(iter(self._ours))]
        self._ours[key] = _Own(instance, self._now_s())

    async def _reached(self, revision: int) -> None:
        """Wait until the registry shows what was written, so that a client finds what it has registered."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP_S):
                while self._seen < revision:
                    await self._next_news()

    async def _next_news(self) -> None:
        self._news.clear()
        await self._news.wait()

    # What the store tells.

    async def _follow(self) -> None:
        backoff_s = _BACKOFF_S[0]
        while True:
            self._healthy.clear()
            try:
                snapshot = await self._store.range(PREFIX)
                self._replace(snapshot)
                backoff_s = _BACKOFF_S[0]
                async with aclosing(self._store.watch((PREFIX,), snapshot.revision)) as watch:
                    async for step in watch:
                        for change in step.changes:
                            self._apply(change)
                        self._come_to(step.revision)
            except CompactedError:
                pass  # too much was missed, or it is another store: the snapshot says what there is
            except StoreUnavailableError:
                self._begin_with_known()  # else what is known stays
            # Until it says that it is well again; asked now and then all the same, since it may not.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff_s * random.uniform(0.5, 1.0)):
                    await self._healthy.wait()
            backoff_s = min(backoff_s * 2, _BACKOFF_S[1])

    def _begin_with_known(self) -> None:
        """The store is away, and has been since our start: the last known is better than nothing."""
        if self._loaded or self._path is None or self.as_of_s is not None:
            return
        known = read_known(self._path)
        if known is None:
            return
        self.as_of_s = known.time_s
        for instance in known.items:
            self._registry.register(instance, self._now_s())

    def _replace(self, snapshot: Snapshot) -> None:
        """Take over what there is. Why something is not there any more cannot be known: that is not certain.

        Except for what was read from disk: the store's first word counts more.
        """
        certain = not self._loaded
        now_s = self._now_s()
        there = {}
        for entry in snapshot.entries:
            instance = _instance_of(entry.key, entry.value)
            if instance is None:
                self.refused += 1
            else:
                there[instance.service, instance.id] = instance
        for known in self._registry.registrations:
            if (known.service, known.id) not in there:
                self._registry.unregister(known.service, known.id, now_s, certain=certain)
        for instance in there.values():
            self._registry.register(instance, now_s)
        self._loaded = True
        self.as_of_s = None
        self._come_to(snapshot.revision)
        missing = [
            key
            for key, own in self._ours.items()
            if (own.instance.service, own.instance.id) not in there
        ]
        if missing and (self._again is None or self._again.done()):
            self._again = self._tasks.start(
                "discovery: register again", self._put_again(missing), may_end=True
            )

    async def _put_again(self, keys: list[str]) -> None:
        # Jitter, not secrecy.
        await asyncio.sleep(random.uniform(0, PUT_AGAIN_S))
        for key in keys:
            own = self._ours.get(key)
            if own is None or own.is_over(self._now_s()):
                self._ours.pop(key, None)
                continue
            try:
                await self._write(key, own.instance, "registered again", ABSENT)
                self.put_again += 1
            except (ConflictError, LeaseEndedError):
                continue  # its holder was quicker, or will be
            except StoreUnavailableError:
                return  # lost again; the next snapshot begins anew

    def _apply(self, change: Change) -> None:
        now_s = self._now_s()
        if change.value is None:
            self._ours.pop(change.key, None)
            service, _, instance_id = change.key.removeprefix(PREFIX).partition("/")
            self._registry.unregister(service, instance_id, now_s, certain=_is_certain(change))
            return
        instance = _instance_of(change.key, change.value)
        if instance is None:
            self.refused += 1
        else:
            self._registry.register(instance, now_s)

    def _come_to(self, revision: int) -> None:
        if self._keeping is not None:
            self._keeping.changed()
        self._seen = revision
        self._news.set()


def _key(service: str, instance_id: str) -> str:
    return f"{PREFIX}{service}/{instance_id}"


def _same(present: ServiceInstance, wanted: ServiceInstance) -> bool:
    return msgspec.structs.replace(present, since="") == msgspec.structs.replace(wanted, since="")


def _is_certain(change: Change) -> bool:
    """Whether it is gone for sure: deleted, given back, or its sidecar dead. A lease that expired may be a slow network."""
    return change.writer != LEASE_EXPIRED


def _instance_of(key: str, value: bytes) -> ServiceInstance | None:
    """The registration that lies under `key`; None for what somebody else has put there."""
    try:
        instance = decode(value)
    except ValueError:
        return None
    if _key(instance.service, instance.id) != key or instance.is_announced or instance.stale:
        return None
    return instance
