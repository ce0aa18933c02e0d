"""What every destination has in common, so that one piece of shipping code serves receivers and files alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pillion.logs.lines import Item
    from pillion.logs.recognise import Recogniser

# For each resource its attributes, and for each of its scopes the name and the encoded records.
Groups: TypeAlias = (
    "Sequence[tuple[Mapping[str, object], Sequence[tuple[str, bytes | memoryview]]]]"
)


class Sent(msgspec.Struct, frozen=True):
    """Taken. `rejected` records were not, by the receiver's own account, and `message` may say why."""

    rejected: int = 0
    message: str = ""


class Again(msgspec.Struct, frozen=True):
    """Not taken, but may be later; not before `after_s` seconds when the receiver says so."""

    why: str
    after_s: float | None = None


class Refused(msgspec.Struct, frozen=True):
    """Not taken, and never will be."""

    why: str


Outcome: TypeAlias = Sent | Again | Refused


class Records(Protocol):
    """The encoded records of one stream in one batch."""

    @property
    def size(self) -> int:
        """How many bytes they take."""

    @property
    def count(self) -> int:
        """How many they are."""

    def fill(
        self, items: Sequence[Item], at: int, recogniser: Recogniser, size: int, count: int
    ) -> int:
        """Encode `items` from `at` on until there are `size` bytes or `count` records; return where it ended."""

    def take(self) -> bytes | memoryview:
        """Return what was encoded, and begin anew; it is there until more is encoded."""


class Sink(Protocol):
    """A destination. `in_flight` is how many batches may be under way at once; 1 keeps their order."""

    name: str
    in_flight: int

    def records(self, attributes: Mapping[str, object], stream: str) -> Records:
        """Return an empty encoder for a stream whose records all have `attributes`."""

    def seal(self, groups: Groups) -> bytes:
        """Return the batch as it is sent."""

    async def send(self, body: bytes) -> Outcome:
        """Send one batch. Never raises for what the other side or the disk does."""

    async def close(self) -> None:
        """Give everything back."""
