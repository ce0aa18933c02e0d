"""What passes between an engine's storage and what all engines share: no engine's own, and nothing that a caller sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pillion.store.interface import Change, Entry


class Holder(NamedTuple):
    """The session that holds a lease, and the realm in which it can be asked for."""

    instance: str
    run: str
    realm: str


class Held(NamedTuple):
    """An entry, and who holds it by a lease, None for nobody."""

    entry: Entry
    holder: Holder | None


class Batch(NamedTuple):
    """Changes after a revision; `revision` is how far they go, `more` whether there are others after it."""

    revision: int
    changes: tuple[Change, ...]
    more: bool
