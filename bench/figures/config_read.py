"""What a read of configuration costs, beside etcd's gateway and aiohttp with the same bytes and no checks."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from bench import api, loading
from bench.api import request_bytes
from bench.etcd import Etcd, range_body
from bench.figure import PILLION, Figure, Row, Target, Unavailable
from bench.install import beside_us
from bench.instance import Instance
from bench.peers import ETCD
from bench.proc import cpu_s, pin, two_cores
from bench.workbench import Bench, wait_for

if TYPE_CHECKING:
    from bench.loading import Target as Where

_PATH = "/v1/config/shop/price"
_CONNECTIONS = 32
_P50 = Target(40)
_RATE = Target(40_000, at_most=False)
# The design's figures come from a machine on which aiohttp had 77 µs and 17 k/s: what they are beside it holds on any.
_P50_BESIDE = Target(round(40 / 77, 2))
_RATE_BESIDE = Target(round(40 / 17, 2), at_most=False)
_UNIX = f"{PILLION}: Unix socket"
_TCP = f"{PILLION}: TCP, token and Host checked"
_AIOHTTP = "aiohttp: Unix socket, no checks"
_ETCD = "etcd: HTTP gateway"


def run(bench: Bench) -> list[Row]:
    """Ask each on one connection and on many, in turn."""
    served, asking = two_cores()
    if served == asking:
        raise Unavailable("it needs two cores: one for what is measured and one for its load")
    subjects = _subjects(bench, served, asking)
    samples = {name: _Samples() for name in subjects}
    for _ in range(bench.runs(5)):
        for name, (where, pid) in subjects.items():
            samples[name].take(bench, where, pid, served, asking)
    return _rows(samples)


def _subjects(bench: Bench, served: int, asking: int) -> dict[str, tuple[Where, int]]:
    instance = Instance(bench, [bench.programs.first_act], cpus={asking})
    instance.wait_ready()
    agent = instance.pid("agent")
    pin(agent, served)
    api.ask(instance.socket, _PATH, method="PUT", body={"value": 12.5})
    etcd = Etcd(bench, cpus={served})
    etcd.put("shop/price", "12.5")
    path = f"{bench.fresh('a')}/aiohttp.sock"
    program = __file__.replace("figures/config_read.py", "programs/aiohttp_server.py")
    peer = bench.spawn([sys.executable or beside_us("python"), program, path], cpus={served})
    wait_for(lambda: _answers(path), "aiohttp answers")
    body = json.dumps(range_body("shop/price")).encode()
    host = f"127.0.0.1:{etcd.port}"
    question = request_bytes("/v3/kv/range", host, method="POST", body=body)
    return {
        _UNIX: (loading.unix(bench, instance, _PATH), agent),
        _TCP: (loading.tcp(bench, instance, _PATH), agent),
        _AIOHTTP: (
            loading.target(bench, f"unix:{path}", request_bytes(_PATH, "localhost")),
            peer.pid,
        ),
        _ETCD: (loading.target(bench, f"tcp:{etcd.port}", question), etcd.process.pid),
    }


def _answers(path: str) -> bool:
    try:
        api.ask(path, _PATH)
    except OSError:
        return False
    return True


class _Samples:
    """What was measured of one subject."""

    def __init__(self) -> None:
        self.same_core_us: list[float] = []
        self.other_core_us: list[float] = []
        self.rate: list[float] = []
        self.cpu_us: list[float] = []
        self.failures = 0

    def take(self, bench: Bench, where: Where, pid: int, served: int, asking: int) -> None:
        """Measure once more."""
        seconds = bench.seconds(2, 1)
        same = loading.Loading(bench, where, 1, seconds=seconds / 2, cpus={served}).result()
        # On a core of its own a client polls: to wake it would be the server's cost, and more than the read.
        other = loading.Loading(
            bench, where, 1, seconds=seconds / 2, cpus={asking}, poll=True
        ).result()
        before = cpu_s(pid)
        many = loading.Loading(
            bench, where, _CONNECTIONS, seconds=seconds, cpus={asking}, poll=True
        ).result()
        self.cpu_us.append((cpu_s(pid) - before) / max(1, many.requests) * 1e6)
        self.same_core_us.append(same.p50_us)
        self.other_core_us.append(other.p50_us)
        self.rate.append(many.requests / many.seconds)
        self.failures += same.failures + other.failures + many.failures


def _rows(samples: dict[str, _Samples]) -> list[Row]:
    rows: list[Row] = []
    for name, got in samples.items():
        bound = _P50 if name == _UNIX else None
        where = "p50, one connection, client on"
        rows.append(Row(f"{where} the same core", name, "µs", got.same_core_us, bound))
        rows.append(Row(f"{where} another core", name, "µs", got.other_core_us, bound))
    rows += [
        Row(
            f"throughput, {_CONNECTIONS} connections",
            name,
            "requests/s",
            got.rate,
            _RATE if name == _UNIX else None,
            f"{got.failures} failed",
        )
        for name, got in samples.items()
    ]
    rows += [Row("CPU", name, "µs a request", got.cpu_us) for name, got in samples.items()]
    ours, theirs = samples[_UNIX], samples[_AIOHTTP]
    p50 = [a / b for a, b in zip(ours.same_core_us, theirs.same_core_us, strict=True)]
    rate = [a / b for a, b in zip(ours.rate, theirs.rate, strict=True)]
    rows += [
        Row("p50 on the same core, beside aiohttp's", _UNIX, "times", p50, _P50_BESIDE),
        Row("throughput beside aiohttp's", _UNIX, "times", rate, _RATE_BESIDE),
    ]
    return rows


FIGURE = Figure(
    name="config-read",
    says="Reads of one key of configuration: latency on one kept connection, and throughput with the server on one core and the load on another.",
    target="p50 at most 40 µs over the Unix socket; at least 40 k/s on one core with token, Host and ETag",
    run=run,
    peers=(ETCD,),
    caveats=(
        "Eight request headers each (nine with the token). etcd answers a serialisable question by gRPC behind its gateway; its value comes in base64.",
        "On two cores each question and each answer wakes a core that was idle, which on a virtual machine may cost more than the rest; on one core nothing sleeps.",
    ),
)
