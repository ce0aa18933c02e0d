"""Which failures count, by the names that settings give them. One table for retries and breakers, so that they agree on words.

    connect      no connection: refused, unreachable, not in time, TLS failed
    reset        the connection ended, or what came was not HTTP, before the answer was complete
    timeout      no answer within the time of one try, or silence in the middle of one
    unavailable  the answer 503            gateway   502 and 504
    5xx          any answer from 500 on    429       the answer 429

Any other 4xx is the client's failure, not the upstream's, and has no name; nor has 508 (RFC 5842 section 7.2): the way of the request
is a circle, whoever says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

CONNECT: Final = "connect"
RESET: Final = "reset"
TIMEOUT: Final = "timeout"
STATUS: Final = "status"

_KINDS: Final = frozenset((CONNECT, RESET, TIMEOUT))
_STATUSES: Final[dict[str, frozenset[int]]] = {
    "unavailable": frozenset((503,)),
    "gateway": frozenset((502, 504)),
    "5xx": frozenset(range(500, 600)) - {508},
    "429": frozenset((429,)),
}
NAMES: Final = (CONNECT, RESET, TIMEOUT, *_STATUSES)
"""Every name that settings may use."""


class Conditions:
    """A set of such names, ready to be asked."""

    __slots__ = ("_kinds", "_statuses")

    def __init__(self, names: Iterable[str]) -> None:
        """Raise ValueError for a name that there is not."""
        kinds = set()
        statuses: frozenset[int] = frozenset()
        for name in names:
            if name in _KINDS:
                kinds.add(name)
            elif name in _STATUSES:
                statuses |= _STATUSES[name]
            else:
                raise ValueError(f"cannot judge failures by {name!r}: use {', '.join(NAMES)}")
        self._kinds = frozenset(kinds)
        self._statuses = statuses

    def matches(self, kind: str, status: int) -> bool:
        """Whether a failure of `kind` (connect, reset, timeout, or status with its `status`) is among them."""
        return status in self._statuses if kind == STATUS else kind in self._kinds

    def status(self, status: int) -> bool:
        """Whether an answer with `status` is among them."""
        return status in self._statuses
