"""What is asked of the locks, and every no that they can say."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from pillion.errors import PillionError

if TYPE_CHECKING:
    from pillion.locks.record import Bind, Holding, Life


class Wanted(msgspec.Struct, frozen=True):
    """What is asked for: `subject` is `locks/<name>` or `elections/<name>`, times are seconds.

    `life` is the process that it is bound to, for `bind` of app and process.
    """

    subject: str
    ttl_s: float
    wait_s: float
    holder: str
    bind: Bind = "lease"
    life: Life | None = None
    value: bytes = b"null"


class HeldError(PillionError):
    """The lock is not free: `holding` says who has it, None when that is not known any more."""

    def __init__(self, subject: str, why: str, holding: Holding | None) -> None:
        held_by = "" if holding is None else f"; {holding.record.holder} holds it"
        super().__init__(f"cannot have {subject}: {why}{held_by}; wait for it, or ask again")
        self.holding = holding


class LeaseError(PillionError):
    """Nobody holds the lock by this lease here."""

    def __init__(self, subject: str, holding: Holding | None) -> None:
        who = "nobody holds it" if holding is None else f"{holding.record.holder} holds it"
        super().__init__(
            f"cannot use this lease of {subject}: {who}, by another lease or through another sidecar; "
            "take it as lost"
        )
        self.holding = holding


class DoubtError(PillionError):
    """The store did not take the renewal: the lease is safe for another `safe_s` seconds."""

    def __init__(self, subject: str, safe_s: float, why: str) -> None:
        super().__init__(
            f"cannot renew {subject}: {why}. The lease is safe for {safe_s:.1f} s more; try again, "
            "and stop before it ends"
        )
        self.safe_s = safe_s


def boot_time_s() -> float:
    """Seconds that a suspended host counts as well: a lease elsewhere runs on meanwhile."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
