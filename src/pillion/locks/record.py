"""What stands in the store for each who holds a lock or waits for it: `locks/<name>/<id>`, one key for each.

The queue of a lock is its keys in the order in which they were created, and the first of them holds it. So nobody writes
when a lock changes hands, and nobody can come between; the revision at which a key was created is its fencing token: it
grows in the order of holding, and never falls.

An agent that takes over from a predecessor finds all that it has to know in the value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from pillion.store.interface import Entry

LOCKS = "locks/"
ELECTIONS = "elections/"
PREFIXES = (LOCKS, ELECTIONS)

Bind = Literal["lease", "app", "process"]
"""With what it ends, besides its time: nothing, the app's process, or the process that asked for it."""

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$"
_NAME = re.compile(NAME_PATTERN)


class Life(msgspec.Struct, frozen=True):
    """A process by pid and start time in clock ticks since boot; a pid alone may be another's by now."""

    pid: int
    ticks: int


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The value of a key. `lease` is what the holder shows, `agent` who looks after it, `since_s` seconds since the epoch.

    `life` is the process that it is bound to; `value` what a candidate tells those who look for the leader.
    """

    holder: str
    lease: str
    instance: str
    run: str
    agent: Life
    ttl_s: float
    since_s: float
    bind: Bind = "lease"
    life: Life | None = None
    value: msgspec.Raw = msgspec.Raw(b"null")


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """One key as it is in the store. `revision` is that of the last write, `store_lease` what the key ends with."""

    subject: str
    id: str
    token: int
    revision: int
    record: Record
    store_lease: str | None = None

    @property
    def key(self) -> str:
        """Its key in the store."""
        return f"{self.subject}/{self.id}"


_decoder = msgspec.json.Decoder(Record)
_encoder = msgspec.json.Encoder()


def is_name(name: str) -> bool:
    """Whether a lock or an election may have this name."""
    return _NAME.fullmatch(name) is not None


def encode(record: Record) -> bytes:
    """The value of a key."""
    return _encoder.encode(record)


def decode(value: bytes) -> Record | None:
    """The record in a value; None for what another version, or somebody else, wrote there."""
    try:
        return _decoder.decode(value)
    except msgspec.DecodeError:
        return None


def split_key(key: str) -> tuple[str, str] | None:
    """Subject (`locks/<name>`) and id of a key; None when it is none of ours."""
    subject, slash, identity = key.rpartition("/")
    if not slash or not identity or not subject.startswith(PREFIXES):
        return None
    return subject, identity


def holding_of(entry: Entry) -> Holding | None:
    """What an entry of the store says; None when it is none of ours."""
    split = split_key(entry.key)
    record = decode(entry.value)
    if split is None or record is None:
        return None
    return Holding(
        subject=split[0],
        id=split[1],
        token=entry.created,
        revision=entry.revision,
        record=record,
        store_lease=entry.lease,
    )
