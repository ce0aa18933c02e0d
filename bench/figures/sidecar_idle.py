"""What the sidecar costs an idle app: memory and CPU of agent and shipper."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.figure import PILLION, Figure, Row, Target
from bench.instance import Instance
from bench.proc import activity, rollup_kb
from bench.receiver import Receiver

if TYPE_CHECKING:
    from bench.workbench import Bench

_ROLES = ("agent", "shipper")


def run(bench: Bench) -> list[Row]:
    """Look at agent and shipper over the same seconds."""
    receiver = Receiver(bench)
    instance = Instance(
        bench, [bench.programs.first_act], settings=[f'telemetry.otlp="{receiver.url}"']
    )
    instance.wait_ready()
    pids = {role: instance.pid(role) for role in _ROLES}
    time.sleep(bench.seconds(4, 2))
    seconds = bench.seconds(8, 4)
    pss: dict[str, list[float]] = {role: [] for role in _ROLES}
    share: dict[str, list[float]] = {role: [] for role in _ROLES}
    for _ in range(bench.runs(3)):
        before = {role: activity(pid) for role, pid in pids.items()}
        began = time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        for role, pid in pids.items():
            share[role].append((activity(pid) - before[role]).cpu_ns / 1e9 / took * 100)
            pss[role].append(rollup_kb(pid, "Pss") / 1024)
    rows = [Row("PSS, idle", f"{PILLION}: {role}", "MiB", pss[role], Target(30)) for role in _ROLES]
    rows += [
        Row("CPU, idle", f"{PILLION}: {role}", "% of a core", share[role], Target(0.3))
        for role in _ROLES
    ]
    return rows


FIGURE = Figure(
    name="sidecar-idle",
    says="Memory and CPU of agent and shipper while the app does nothing.",
    target="PSS at most 30 MB each; each under 0.3 % of one core",
    run=run,
    caveats=("PSS shares out the pages of the interpreter among all that run it at the time.",),
)
