"""What supervision itself costs while nothing happens: memory that is nobody else's, and wake-ups."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from bench.figure import PILLION, Figure, Row, Target
from bench.instance import Instance
from bench.peers import CIRCUSD, SUPERVISORD, TINI
from bench.proc import Activity, activity, rollup_kb
from bench.workbench import Bench, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEEPER = f"{PILLION}: keeper"
_SCRIBE = f"{PILLION}: scribe"
_BOTH = f"{PILLION}: keeper and scribe"
# Each second the agent's heartbeat arrives and the keeper's own tick counts the misses; the rest is the scribe's look at the
# quota every ten seconds, and the edges of the window.
_WAKES = 2.3


def run(bench: Bench) -> list[Row]:
    """Start all of them, let them settle, and look at all over the same seconds."""
    pids = _start(bench)
    time.sleep(bench.seconds(4, 2))
    seconds = bench.seconds(8, 6)
    dirty: dict[str, list[float]] = {}
    wakes: dict[str, list[float]] = {}
    for _ in range(bench.runs(3)):
        before = {name: activity(pid) for name, pid in pids.items()}
        began = time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        for name, pid in pids.items():
            spent: Activity = activity(pid) - before[name]
            wakes.setdefault(name, []).append(spent.wake_ups / took)
            dirty.setdefault(name, []).append(rollup_kb(pid, "Private_Dirty") / 1024)
        wakes.setdefault(_BOTH, []).append(wakes[_KEEPER][-1] + wakes[_SCRIBE][-1])
        dirty.setdefault(_BOTH, []).append(dirty[_KEEPER][-1] + dirty[_SCRIBE][-1])
    return _rows(dirty, wakes)


def _rows(dirty: Mapping[str, list[float]], wakes: Mapping[str, list[float]]) -> list[Row]:
    rows = [
        Row("private dirty memory", name, "MiB", got, Target(10) if name == _BOTH else None)
        for name, got in dirty.items()
    ]
    note = "the heartbeat is one message and one tick a second"
    rows += [
        Row("wake-ups when idle", name, "per s", got, Target(_WAKES), note)
        if name == _BOTH
        else Row("wake-ups when idle", name, "per s", got)
        for name, got in wakes.items()
    ]
    return rows


def _start(bench: Bench) -> dict[str, int]:
    instance = Instance(bench, [bench.programs.first_act])
    pids: dict[str, int] = {}
    for name in (TINI, SUPERVISORD, CIRCUSD):
        folder = bench.fresh(name)
        fifo = f"{folder}/first"
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        try:
            command = bench.peers.command(
                name, [bench.programs.first_act, fifo], folder, f"{folder}/app.out"
            )
            pids[name] = bench.spawn(command, cwd=folder).pid
            wait_for(lambda reader=reader: _has_acted(reader), f"the app under {name}")  # type: ignore[misc]
        finally:
            os.close(reader)
    instance.wait_ready()
    return {_KEEPER: instance.pid("keeper"), _SCRIBE: instance.pid("scribe"), **pids}


def _has_acted(reader: int) -> bool:
    try:
        return len(os.read(reader, 8)) == 8
    except BlockingIOError:
        return False


FIGURE = Figure(
    name="supervision",
    says="Private dirty memory and wake-ups of whoever supervises, with an idle app.",
    target="keeper and scribe together at most 10 MB private dirty memory; no wake-ups when idle beyond the heartbeat",
    run=run,
    peers=(TINI, SUPERVISORD, CIRCUSD),
    caveats=(
        "Private dirty memory is what ends with the process; pages that a fork still shares are counted for neither.",
        "A wake-up is a voluntary context switch of any thread.",
    ),
)
