"""Every proxy in turn under the same load, and the same load without any of them: what each adds, and what it costs.

A round begins when every connection has been answered once: what connecting costs, and a TLS handshake, is in no figure.

Load and upstream poll. A peer that sleeps is woken by whoever writes to it, at the writer's cost (on a virtual machine a fifth of a
request, since it leaves the machine), and it sleeps the more the slower the proxy is: what a request costs would depend on how many there are.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench import envoy, haproxy, loading, nginx
from bench.ambassador import NAME, Ambassador
from bench.figure import Row, Unavailable
from bench.peers import ENVOY, HAPROXY, NGINX
from bench.proc import activity, two_cores
from bench.proxy import Proxy, start_upstream, target
from bench.report import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.figure import Target
    from bench.workbench import Bench

PEERS = (ENVOY, HAPROXY, NGINX)
DIRECT = "direct"
_WORKER = f"{NAME}, its worker alone"
_UNITS = ((1 << 20, "MB"), (1 << 10, "KB"))


@dataclass(frozen=True, slots=True)
class Case:
    """One load: answers of `size` bytes on so many kept connections."""

    size: int
    connections: int

    def __str__(self) -> str:
        unit, name = next((u for u in _UNITS if self.size >= u[0]), (1, "B"))
        many = f"{self.connections} connection{'s' if self.connections > 1 else ''}"
        return f"{self.size // unit} {name}, {many}"


@dataclass(slots=True)
class Samples:
    """What was measured of one subject under one load, round by round."""

    rate: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    p50_us: list[float] = field(default_factory=list)
    p99_us: list[float] = field(default_factory=list)
    p999_us: list[float] = field(default_factory=list)
    failures: int = 0


@dataclass(slots=True)
class World:
    """The upstream, the proxies on their core, and the core of the load."""

    asking: int
    port: int
    ambassador: Ambassador
    proxies: tuple[Proxy, ...]


def start(bench: Bench) -> World:
    """Start everything. Raises Unavailable without a core for the proxies and one for the rest."""
    served, asking = two_cores()
    if served == asking:
        raise Unavailable("it needs two cores: one for the proxy, one for load and upstream")
    upstream = start_upstream(bench, {asking}, poll=True)
    ambassador = Ambassador(bench, upstream, served, asking)
    others = [module.start(bench, upstream, {served}) for module in (envoy, haproxy, nginx)]
    return World(asking, upstream.port, ambassador, (ambassador.proxy, *others))


class Measured:
    """All samples by subject and load."""

    def __init__(
        self,
        bench: Bench,
        world: World,
        cases: Sequence[Case],
        *,
        tls: bool = False,
        rounds: int = 3,
    ) -> None:
        self._bench = bench
        self._world = world
        self._tls = tls
        self._seconds = bench.seconds(2, 0.3)
        self._alone_us: dict[Case, list[float]] = {case: [] for case in cases}
        self.cases = cases
        self.names = [proxy.name for proxy in world.proxies]
        self.of = {(name, case): Samples() for name in [DIRECT, *self.names] for case in cases}
        # The first requests open connections and fill caches: they count for nobody.
        for proxy in world.proxies:
            self._load(self._port(proxy), Case(50, 32), tls=tls).result()
        for turn in range(bench.runs(rounds)):
            self._round(turn)

    def rows(self) -> list[Row]:
        """Throughput and CPU of each load, and what is added; for one connection in rows of its own."""
        rows: list[Row] = []
        for case in self.cases:
            rows += self._rows_of(case)
        rows += [
            Row("memory, PSS after the load", proxy.name, "MiB", [proxy.pss_mb()])
            for proxy in self._world.proxies
        ]
        worst = self._world.ambassador.worst_lag_ms()
        if worst is not None:
            note = "of five looks a second over the whole run, waiting for the core included"
            rows.append(Row("longest that the event loop was late", NAME, "ms", [worst], note=note))
        return rows

    def per_cpu_s(self, case: Case, other: str, bound: Target | None = None) -> Row:
        """Our requests per CPU second, in the other's."""
        ours, theirs = self.of[NAME, case].cpu_us, self.of[other, case].cpu_us
        times = [b / a for a, b in zip(ours, theirs, strict=True)]
        measure = f"requests per CPU second, in {other}'s: {case}"
        return Row(measure, NAME, "times", times, bound)

    def added_p50(self, case: Case, other: str, bound: Target | None = None) -> Row:
        """Our added p50, in the other's."""
        ours, theirs = self._added(NAME, case, "p50_us"), self._added(other, case, "p50_us")
        times = [a / max(b, 0.1) for a, b in zip(ours, theirs, strict=True)]
        return Row(f"added p50, in {other}'s: {case}", NAME, "times", times, bound)

    def _rows_of(self, case: Case) -> list[Row]:
        rows = []
        for name in [DIRECT, *self.names]:
            got = self.of[name, case]
            note = f"{got.failures} failed" if got.failures else ""
            rows.append(Row(f"throughput: {case}", name, "requests/s", got.rate, note=note))
        rows += [
            Row(
                f"CPU: {case}",
                name,
                "µs a request",
                self.of[name, case].cpu_us,
                note="" if case.connections == 1 else self._note(name, case),
            )
            for name in self.names
        ]
        note = "without the scribe and the agent"
        rows.append(Row(f"CPU: {case}", _WORKER, "µs a request", self._alone_us[case], note=note))
        if case.connections == 1:
            rows += [
                Row(f"added {label}: {case}", name, "µs", self._added(name, case, which))
                for label, which in (("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p999_us"))
                for name in self.names
            ]
        return rows

    def _note(self, name: str, case: Case) -> str:
        said = [
            f"{label} {number(statistics.median(self._added(name, case, which)))}"
            for label, which in (("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p999_us"))
        ]
        return f"adds {', '.join(said)} µs"

    def _added(self, name: str, case: Case, which: str) -> list[float]:
        through: list[float] = getattr(self.of[name, case], which)
        direct: list[float] = getattr(self.of[DIRECT, case], which)
        return [a - b for a, b in zip(through, direct, strict=True)]

    def _round(self, turn: int) -> None:
        proxies = self._world.proxies
        for case in self.cases:
            direct = self._load(self._world.port, case, tls=False).result()
            _keep(self.of[DIRECT, case], direct, 0.0)
            first = turn % len(proxies)
            for proxy in proxies[first:] + proxies[:first]:
                load = self._load(self._port(proxy), case, tls=self._tls)
                before_s, worker = proxy.cpu_s(), self._worker_s()
                got = load.result()
                _keep(self.of[proxy.name, case], got, proxy.cpu_s() - before_s)
                if proxy.name == NAME:
                    alone_s = self._worker_s() - worker
                    self._alone_us[case].append(alone_s / got.requests * 1e6)

    def _worker_s(self) -> float:
        return activity(self._world.ambassador.pid).cpu_ns / 1e9

    def _port(self, proxy: Proxy) -> int:
        return proxy.tls if self._tls else proxy.plain

    def _load(self, port: int, case: Case, *, tls: bool) -> loading.Loading:
        where = target(self._bench, port, f"/{case.size}", tls=tls)
        return loading.Loading(
            self._bench,
            where,
            case.connections,
            seconds=self._seconds,
            cpus={self._world.asking},
            poll=True,
            settle=True,
        )


def _keep(samples: Samples, got: loading.Load, cpu_s: float) -> None:
    if not got.requests:
        raise Unavailable(f"a load was answered nothing; {got.last}")
    samples.rate.append(got.in_time / got.seconds)
    samples.cpu_us.append(cpu_s / got.requests * 1e6)
    samples.p50_us.append(got.p50_us)
    samples.p99_us.append(got.p99_us)
    samples.p999_us.append(got.p999_us)
    samples.failures += got.failures
