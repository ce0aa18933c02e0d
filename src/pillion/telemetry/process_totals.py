"""What the processes of a component have used together, growing as long as the component lives.

A sum over the living processes would shrink whenever one of them ends, and a counter that shrinks counts as begun anew. So each
process adds what it has used since the last look; what it used between that and its end is nobody's (the control group's counters have it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pillion.telemetry.process_reading import ProcessReading


class Totals(msgspec.Struct, frozen=True):
    """Seconds of CPU, and counts; None for what no process has told."""

    user_s: float | None = None
    system_s: float | None = None
    minor_faults: float | None = None
    major_faults: float | None = None
    read_bytes: float | None = None
    written_bytes: float | None = None
    voluntary: float | None = None
    involuntary: float | None = None


class ProcessTotals:
    """The totals of one component's processes; it holds a few numbers for each of them that lives."""

    def __init__(self) -> None:
        self._before: dict[tuple[int, int], tuple[float | None, ...]] = {}
        self.totals = Totals()

    def take(self, readings: Iterable[ProcessReading]) -> None:
        """Add what these processes, all that live, have used since the last call."""
        totals = list(msgspec.structs.astuple(self.totals))
        living: dict[tuple[int, int], tuple[float | None, ...]] = {}
        for one in readings:
            key = (one.stat.pid, one.stat.started)
            now = _used(one)
            before = self._before.get(key, (None,) * len(now))
            for at, (new, old) in enumerate(zip(now, before, strict=True)):
                if new is not None:
                    totals[at] = (totals[at] or 0) + max(0, new - (old or 0))
            # What could not be read this time is compared with the last time that it could.
            living[key] = tuple(
                old if new is None else new for new, old in zip(now, before, strict=True)
            )
        self._before = living
        self.totals = Totals(*totals)


def _used(one: ProcessReading) -> tuple[float | None, ...]:
    """In the order of `Totals`."""
    stat, io, switches = one.stat, one.io, one.switches
    return (
        stat.user_s,
        stat.system_s,
        stat.minor_faults,
        stat.major_faults,
        None if io is None else io.read_bytes,
        None if io is None else io.written_bytes,
        None if switches is None else switches.voluntary,
        None if switches is None else switches.involuntary,
    )
