"""What every engine of the store can do; `tests/contract/store/` holds each of them to it.

The model is etcd's, kept to what NATS JetStream can do as well: byte values under string keys, one counter of
revisions over all keys, a write of one key at a time, compare-and-set by the revision of the key, a watch
from a revision, leases that take their keys with them.

    StoreUnavailableError        the engine cannot be used at present: 503; reads go on from what is known
    ├── StoreReadOnlyError       it can be read, but not written
    └── StoreFullError           no room: a full disk, or the quota of the store
    ConflictError                the key is not at the revision that the writer expected: 412, with what is there
    CompactedError               the revision is older than what is kept, or none of this store's: begin anew from a snapshot
    LeaseEndedError              the lease has ended, and what was kept by it is gone: grant another
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from pillion.errors import PillionError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

ABSENT = 0
"""As an expected revision: the key must not exist."""

LEASE_EXPIRED = "pillion: lease expired"
"""The writer of a deletion that nobody asked for: a lease was not renewed in time, whatever has become of its holder."""
LEASE_REVOKED = "pillion: lease revoked"
"""The same where the holder has given it back."""
SESSION_ENDED = "pillion: session ended"
"""The same where the holder is certainly gone: the kernel has freed its lock."""

KEY_BYTES = 1024
VALUE_BYTES = 512 * 1024


class StoreUnavailableError(UnreachableError):
    """The engine does not work at present."""


class StoreReadOnlyError(StoreUnavailableError):
    """Reads work, writes do not."""


class StoreFullError(StoreUnavailableError):
    """There is no room for this write."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is. `revision` is that of its last write, `created` that of the first since it was absent.

    `time_s` is seconds since the epoch, `writer` who wrote it in words, `lease` the lease that it ends with.
    """

    key: str
    value: bytes
    revision: int
    created: int
    time_s: float
    writer: str = ""
    lease: str | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One write: `value` is None when the key was deleted (by a writer, or because its lease ended)."""

    key: str
    value: bytes | None
    revision: int
    time_s: float
    writer: str = ""


class Snapshot(msgspec.Struct, frozen=True):
    """Every key under a prefix at `revision` of the store, in the order of keys."""

    revision: int
    entries: tuple[Entry, ...]


class Changes(msgspec.Struct, frozen=True):
    """The next changes of a watch, in the order of revisions; `revision` is how far the watch has come.

    There may be no changes in it: others have written elsewhere, and a reader that resumes need not ask for that again.
    """

    revision: int
    changes: tuple[Change, ...]


class ConflictError(PillionError):
    """The key is not at the expected revision; `current` is what is there, None when it is absent."""

    def __init__(self, key: str, current: Entry | None) -> None:
        super().__init__(
            f"cannot write {key}: it is at revision {current.revision if current else 'none'}; read it again"
        )
        self.key = key
        self.current = current


class CompactedError(PillionError):
    """History before `compacted` is gone, or `revision` is none that this store has come to."""

    def __init__(self, revision: int, compacted: int) -> None:
        how = (
            f"history begins at {compacted}"
            if revision < compacted
            else "this store has another history"
        )
        super().__init__(f"cannot go on from revision {revision}: {how}; take a new snapshot")
        self.revision = revision
        self.compacted = compacted


class LeaseEndedError(PillionError):
    """The lease has ended; its keys went with it."""

    def __init__(self, lease: str) -> None:
        super().__init__(f"cannot use the lease {lease}: it has ended; grant another")
        self.lease = lease


class Health(msgspec.Struct, frozen=True):
    """Whether the engine works: `reason` says why not, `since_s` is seconds since the epoch of the last change.

    `writable` is false as well when it can only be read.
    """

    readable: bool
    writable: bool
    reason: str = ""
    since_s: float = 0.0


class Store(Protocol):
    """One engine, used from one event loop. Every method may raise `StoreUnavailableError`."""

    @property
    def engine(self) -> str:
        """`sqlite`, `etcd`, `nats`."""

    @property
    def identity(self) -> str:
        """Which store this is: revisions of one mean nothing in another. Empty until it was reached for the first time."""

    @property
    def health(self) -> Health:
        """As it was at the last use."""

    def on_health(self, callback: Callable[[Health], None]) -> None:
        """Have `callback` called from the loop whenever `health` changes."""

    async def start(self) -> None:
        """Open or connect in the background as well: returns though the engine is away, and goes on trying."""

    async def close(self) -> None:
        """Release everything, leases excepted."""

    async def read(self, key: str) -> tuple[int, Entry | None]:
        """The revision of the store, and the key as it was then. Sees every write that had ended before the call."""

    async def range(self, prefix: str, *, at: int | None = None) -> Snapshot:
        """Every key that begins with `prefix`, now or as of revision `at`.

        Raises `CompactedError` when `at` is too old, `ValueError` when the store has not come that far.
        """

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        writer: str,
        expect: int | None = None,
        lease: str | None = None,
    ) -> int:
        """Write and return the new revision. `expect` is the revision that the key must be at, `ABSENT` for none; None for any.

        Raises `ConflictError`, `ValueError` for a key or value above the bounds, `LeaseEndedError`, `StoreFullError`,
        `StoreReadOnlyError`. After another `StoreUnavailableError` the write may have happened nevertheless.
        """

    async def delete(self, key: str, *, writer: str, expect: int | None = None) -> int | None:
        """Delete and return the new revision; None when the key was absent already. Raises as `put` does."""

    def watch(self, prefixes: tuple[str, ...], after: int) -> AsyncGenerator[Changes, None]:
        """Every change after revision `after` under any of `prefixes`, none twice, none left out, without end.

        Goes on by itself when the engine has been away. Raises `CompactedError` when `after` is too old or ahead of the
        store, also when the engine has come back as another store.
        """

    async def history(self, key: str, *, limit: int, before: int | None = None) -> list[Change]:
        """The last `limit` changes of `key` (with `before`: those before that revision), newest first."""

    async def compacted(self) -> int:
        """The oldest revision from which a watch can go on; 0 when nothing was forgotten yet."""

    async def grant(self, ttl_s: float) -> str:
        """A lease: keys put with it go when it ends, `ttl_s` seconds after the last `keep_alive` or with the holder's session."""

    async def keep_alive(self, lease: str) -> bool:
        """Renew; False when it has ended already, or was granted to another session: only the holder's own renews."""

    async def revoke(self, lease: str) -> None:
        """End it now, with its keys."""
