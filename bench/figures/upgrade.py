"""Whether replacing the sidecar under load costs anybody a request, or the app a line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench import loading
from bench.figure import PILLION, Figure, Row, Target
from bench.instance import Instance
from bench.receiver import Receiver
from bench.workbench import Bench, wait_for
from bench.writing import Writer

if TYPE_CHECKING:
    from bench.loading import Load

# A quarter each of: Unix or TCP, kept or new connections.
_CLIENTS = 400
_THINK_MS = 250
_LINES_PER_S = 2_000


def run(bench: Bench) -> list[Row]:
    """Upgrade several times under load, then count."""
    receiver = Receiver(bench, keep=True)
    writer = Writer(bench, rate=_LINES_PER_S, lines=0)
    instance = Instance(
        bench,
        writer.command,
        settings=[f'telemetry.otlp="{receiver.url}"', 'telemetry.batch.wait="100ms"'],
    )
    instance.wait_ready()
    writer.wait_started()
    writer.begin()
    loads = [
        loading.Loading(bench, target, _CLIENTS // 4, keep=keep, think_ms=_THINK_MS)
        for target in (
            loading.unix(bench, instance, "/livez"),
            loading.tcp(bench, instance, "/livez"),
        )
        for keep in (True, False)
    ]
    time.sleep(1)
    pids = {role: instance.pid(role) for role in ("agent", "shipper")}
    took: list[float] = []
    for _ in range(bench.runs(5, 2)):
        began = time.monotonic()
        instance.command("upgrade")
        took.append(time.monotonic() - began)
        after = {role: instance.pid(role) for role in pids}
        assert all(after[role] != pids[role] for role in pids), "nothing was replaced"
        pids = after
        time.sleep(0.5)
    seen = [load.stop() for load in loads]
    # The app ends first, and its last lines are flushed: what is missing then is lost.
    instance.command("signal", "app", "TERM")
    written = writer.report()
    wait_for(lambda: instance.process.poll() is not None, "pillion run has ended")
    return _rows(bench, took, seen, written.lines, receiver.numbers())


def _rows(
    bench: Bench, took: list[float], seen: list[Load], lines: int, got: list[int]
) -> list[Row]:
    for load in seen:
        if load.failures:
            bench.say(f"failed: {load.failed}, the last one: {load.last}")
    requests = sum(load.requests for load in seen)
    connections = sum(load.connections for load in seen)
    distinct = set(got)
    return [
        Row(
            "failed requests",
            PILLION,
            "requests",
            [sum(load.failures for load in seen)],
            Target(0),
            f"of {requests:,} on {connections:,} connections, over {len(took)} upgrades",
        ),
        Row(
            "log lines that did not arrive",
            PILLION,
            "lines",
            [lines - len(distinct)],
            Target(0),
            f"of {lines:,} written",
        ),
        Row("log lines that arrived twice", PILLION, "lines", [len(got) - len(distinct)]),
        Row("longest request", PILLION, "ms", [load.longest_us / 1e3 for load in seen]),
        Row("one upgrade of agent and shipper", PILLION, "s", took),
    ]


FIGURE = Figure(
    name="upgrade",
    says=f"Failed requests and lost log lines while agent and shipper are replaced under {_CLIENTS} clients.",
    target="upgrade under load of 400 keep-alive and new connections: no failed request, no lost log line",
    run=run,
    caveats=(
        f"100 clients each on kept Unix, new Unix, kept TCP and new TCP connections ask for /livez and pause up to {_THINK_MS} ms.",
        f"The app prints {_LINES_PER_S:,} numbered lines a second, which are looked for at the receiver.",
        "No peer is measured: a restart is what they have for it.",
    ),
)
