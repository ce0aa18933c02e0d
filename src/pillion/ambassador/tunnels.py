# cython: annotation_typing=False, auto_pickle=False
"""All tunnels of a worker: how each one ends, and one sweep for all of one idle time, so that no byte touches a timer.

There is no sweep while there is no tunnel.
"""

import asyncio
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from .tunnel import Relay

FLUSH_S = 30.0
"""The longest that a tunnel without idle time waits for its last bytes to be taken."""
SWEEPS = 4
"""In one idle time."""

EOF = "eof"
RESET = "reset"
IDLE = "idle"
CUT = "cut"

_SWEPT_IN_A_ROW = 500


class RelayEnd(msgspec.Struct, frozen=True):
    """How a tunnel ended. `why`: `eof` (both sides in order), `reset` (one was lost: `side` says which, "a" or "b"), `idle`
    (silent for too long), `cut` (we were told to). `first_b_s` is the monotonic time of b's first byte, -1.0 for none.
    """

    bytes_ab: int
    bytes_ba: int
    why: str
    side: str = ""
    first_b_s: float = -1.0


class Coming(Protocol):
    """A connection that will be a tunnel, if all goes well."""

    def refuse(self, reason: str) -> None:
        """Give it up now, for `reason`."""


class Tunnels:
    """All tunnels of a worker, and what is about to be one: their number, their silence, and their end when the worker drains.

    Made inside a running loop.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._relays: dict[Relay, None] = {}
        self._coming: dict[Coming, None] = {}
        self._sweepers: dict[float, asyncio.TimerHandle] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self.total = 0
        self.bytes = 0
        """Of those that are over, both directions."""
        self.idle = 0
        """How many ended by their idle time."""
        self.was_cut = 0
        self.soon = self._loop.call_soon

    def __len__(self) -> int:
        """How many there are, those to come included."""
        return len(self._relays) + len(self._coming)

    def expect(self, coming: Coming) -> None:
        """Take in a connection that has no tunnel yet."""
        self._coming[coming] = None
        self._empty.clear()

    def met(self, coming: Coming) -> None:
        """It has one now, or never will. Once is enough, twice is harmless."""
        self._coming.pop(coming, None)
        self._settle()

    def joined(self, relay: "Relay") -> None:
        """Take a tunnel in."""
        self.total += 1
        self._relays[relay] = None
        self._empty.clear()
        self._sweep_later(relay.idle_s)

    def over(self, relay: "Relay") -> None:
        """Forget a tunnel whose sides are both gone."""
        del self._relays[relay]
        self.bytes += relay.bytes_ab + relay.bytes_ba
        if relay.why == IDLE:
            self.idle += 1
        elif relay.why == CUT:
            self.was_cut += 1
        if not self._relays:
            for timer in self._sweepers.values():
                timer.cancel()
            self._sweepers.clear()
        self._settle()

    def _settle(self) -> None:
        if not self._relays and not self._coming:
            self._empty.set()

    async def drained(self, within_s: float) -> int:
        """Wait until there is none, at most `within_s` seconds; cut the rest, and return how many that were."""
        try:
            async with asyncio.timeout(within_s):
                await self._empty.wait()
        except TimeoutError:
            return self.abort()
        return 0

    def abort(self) -> int:
        """Cut every tunnel now, and give up what is to come; return how many were not closing anyway."""
        cut = len(self._coming)
        for coming in tuple(self._coming):
            coming.refuse("draining")
        for relay in tuple(self._relays):
            cut += not relay.closing
            relay.cut()
        return cut

    def _sweep_later(self, idle_s: float) -> None:
        if idle_s not in self._sweepers:
            every_s = (idle_s or FLUSH_S) / SWEEPS
            self._sweepers[idle_s] = self._loop.call_later(every_s, self._sweep, idle_s)

    def _sweep(self, idle_s: float) -> None:
        self._sweepers.pop(idle_s, None)
        relays = [relay for relay in self._relays if relay.idle_s == idle_s]
        if relays:
            self._sweep_later(idle_s)
            self._sweep_some(relays)

    def _sweep_some(self, relays: "list[Relay]") -> None:
        """Look at some, and let others run before the rest: no callback is long."""
        for relay in relays[-_SWEPT_IN_A_ROW:]:
            relay.swept()
        del relays[-_SWEPT_IN_A_ROW:]
        if relays:
            self._loop.call_soon(self._sweep_some, relays)
