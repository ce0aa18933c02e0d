"""What 200 idle sidecars cost a host together: CPU, wake-ups, and bytes written."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from bench.figure import PILLION, Figure, Row, Target
from bench.proc import activity
from bench.workbench import Bench, wait_for

if TYPE_CHECKING:
    import subprocess

_READY_S = 240.0


def run(bench: Bench) -> list[Row]:
    """Start them all, let them come to rest, and look at them for a while."""
    count = 20 if bench.quick else 200
    base = bench.fresh("h")
    env = {"PILLION_RUNTIME_DIR": f"{base}/r", "PILLION_STATE_DIR": f"{base}/s"}
    started: list[subprocess.Popen[bytes]] = []
    for number in range(count):
        command = [bench.installation.pillion, "run", "--name", f"idle-{number}", "--"]
        started.append(bench.spawn([*command, bench.programs.first_act], env=env))
        if number % 10 == 9:
            # In dozens, as a host does that boots: all at once would measure the start.
            wait_for(lambda wanted=number + 1: _ready(env) >= wanted, "they are ready", _READY_S)  # type: ignore[misc]
    time.sleep(bench.seconds(20, 5))
    share: list[float] = []
    wakes: list[float] = []
    written: list[float] = []
    for _ in range(bench.runs(3)):
        pids = [pid for process in started for pid in _family(process.pid)]
        before = {pid: activity(pid) for pid in pids}
        bytes_before = sum(_written(pid) for pid in pids)
        began = time.monotonic()
        time.sleep(bench.seconds(30, 10))
        took = time.monotonic() - began
        spent = [activity(pid) - before[pid] for pid in pids]
        share.append(sum(one.cpu_ns for one in spent) / 1e9 / took * 100)
        wakes.append(sum(one.wake_ups for one in spent) / took / count)
        written.append(sum(_written(pid) for pid in pids) - bytes_before)
    subject = f"{PILLION}: {count} idle sidecars"
    return [
        Row("CPU of all keepers, scribes and agents", subject, "% of a core", share, Target(2)),
        Row("wake-ups", subject, "a second and sidecar", wakes),
        Row("bytes written to storage", subject, "bytes", written, Target(0)),
    ]


def _ready(env: dict[str, str]) -> int:
    """How many instances have an agent that has begun to serve."""
    root = env["PILLION_RUNTIME_DIR"]
    try:
        names = [name for name in os.listdir(root) if not name.startswith(".")]
    except OSError:
        return 0
    return sum(os.path.exists(f"{root}/{name}/bell.sock") for name in names)


def _family(keeper: int) -> list[int]:
    """The keeper and its children, the app left out: it is a program of the bench that sleeps."""
    with open(f"/proc/{keeper}/task/{keeper}/children", encoding="ascii") as file:
        children = [int(word) for word in file.read().split()]
    return [keeper, *(pid for pid in children if _comm(pid).startswith("pillion"))]


def _comm(pid: int) -> str:
    with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as file:
        return file.read().strip()


def _written(pid: int) -> int:
    """Bytes that a process has caused to be sent to storage (proc(5), io)."""
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        fields = dict(line.split(": ") for line in file.read().splitlines())
    return int(json.loads(fields["write_bytes"]))


FIGURE = Figure(
    name="idle-host",
    says="200 sidecars on one host whose apps do nothing.",
    target="200 idle sidecars together under 2 % of one core, and nothing written",
    run=run,
)
