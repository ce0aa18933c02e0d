"""What a question to the local API costs: time on one connection, and how many one core answers."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from bench import loading
from bench.figure import PILLION, Figure, Row, Unavailable
from bench.instance import Instance
from bench.proc import cpu_s, pin, two_cores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.loading import Target as Where
    from bench.workbench import Bench

_CONNECTIONS = 32


def run(bench: Bench) -> list[Row]:
    """Ask on one connection, then on many, each way in turn."""
    served, asking = two_cores()
    if served == asking:
        raise Unavailable("it needs two cores: one for the agent and one for its load")
    # Everything of the instance but the agent keeps off the agent's core.
    instance = Instance(bench, [bench.programs.first_act], cpus={asking})
    instance.wait_ready()
    agent = instance.pid("agent")
    pin(agent, served)
    ways = {
        "/livez over the Unix socket": loading.unix(bench, instance, "/livez"),
        "/livez over TCP, Host checked": loading.tcp(bench, instance, "/livez"),
        "/v1/components over the Unix socket": loading.unix(bench, instance, "/v1/components"),
        "/v1/components over TCP, token and Host checked": loading.tcp(
            bench, instance, "/v1/components"
        ),
    }
    samples = {way: _Samples() for way in ways}
    for _ in range(bench.runs(3)):
        for way, where in ways.items():
            samples[way].take(bench, where, agent, served, asking)
    return _rows(samples)


def _rows(samples: Mapping[str, _Samples]) -> list[Row]:
    rows: list[Row] = []
    for way, got in samples.items():
        where = "p50, one connection, client on"
        rows.append(Row(f"{where} another core", _who(way), "µs", got.p50_us))
        rows.append(Row(f"{where} the agent's core", _who(way), "µs", got.p50_beside_us))
    for way, got in samples.items():
        rows.append(
            Row(
                f"throughput, {_CONNECTIONS} connections",
                _who(way),
                "requests/s",
                got.rate,
                note=f"p99 {statistics.median(got.p99_us) / 1e3:.1f} ms; {got.failures} failed",
            )
        )
    rows += [
        Row("CPU of the agent", _who(way), "µs a request", got.cpu_us)
        for way, got in samples.items()
    ]
    return rows


def _who(way: str) -> str:
    return f"{PILLION}: {way}"


class _Samples:
    """What was measured one way."""

    def __init__(self) -> None:
        self.p50_beside_us: list[float] = []
        self.p50_us: list[float] = []
        self.p99_us: list[float] = []
        self.rate: list[float] = []
        self.cpu_us: list[float] = []
        self.failures = 0

    def take(self, bench: Bench, where: Where, agent: int, served: int, asking: int) -> None:
        """Measure once more."""
        seconds = bench.seconds(2, 1)
        beside = loading.Loading(bench, where, 1, seconds=seconds / 2, cpus={served}).result()
        alone = loading.Loading(bench, where, 1, seconds=seconds / 2, cpus={asking}).result()
        before = cpu_s(agent)
        many = loading.Loading(bench, where, _CONNECTIONS, seconds=seconds, cpus={asking}).result()
        self.cpu_us.append((cpu_s(agent) - before) / max(1, many.requests) * 1e6)
        self.p50_beside_us.append(beside.p50_us)
        self.p50_us.append(alone.p50_us)
        self.p99_us.append(many.p99_us)
        self.rate.append(many.requests / many.seconds)
        self.failures += beside.failures + alone.failures + many.failures


FIGURE = Figure(
    name="api-read",
    says="Reads of the local API: latency on one kept connection, and throughput with the agent on one core and the load on another.",
    target="no bound of its own; config-read has it",
    run=run,
    caveats=(
        "/v1/components is authenticated, and asks the keeper, which has the load's core: its figures are those of both.",
        "On two cores each question and each answer wakes a core that was idle, which on a virtual machine may cost more than the rest; on one core nothing sleeps.",
        "Eight request headers; the agent keeps no request log.",
    ),
)
