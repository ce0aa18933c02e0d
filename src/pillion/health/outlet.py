"""Where health says what happened: the journal of the app, within a rate that a flapping check cannot exceed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.model.event import Json

_BURST = 10.0
_PER_S = 1.0


class Outlet(msgspec.Struct):
    """`write` takes kind, reason and data. Each check may say ten things at once and one a second after that."""

    write: Callable[[str, str, dict[str, Json]], None]
    dropped: int = 0
    _left: dict[str, tuple[float, float]] = msgspec.field(default_factory=dict)

    def event(self, kind: str, reason: str, data: dict[str, Json]) -> None:
        """Write, whatever the rate."""
        self.write(kind, reason, data)

    def transition(
        self, name: str, kind: str, reason: str, data: dict[str, Json], now: float
    ) -> None:
        """Write, or count as dropped."""
        left, at = self._left.get(name, (_BURST, now))
        left = min(_BURST, left + (now - at) * _PER_S)
        if left < 1.0:
            self.dropped += 1
            self._left[name] = (left, now)
            return
        self._left[name] = (left - 1.0, now)
        self.write(kind, reason, data)

    def keep(self, names: frozenset[str]) -> None:
        """Forget the rates of checks that there are no more."""
        for name in self._left.keys() - names:
            del self._left[name]
