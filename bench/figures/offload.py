"""Static files from the nginx that Pillion puts in front of a Node.js app, from a hand-written nginx.conf, and from Node.js alone."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench import loading
from bench.api import request_bytes
from bench.figure import PILLION, Figure, Row, Target, Unavailable
from bench.instance import Instance
from bench.members import who_answers
from bench.peers import NGINX, NODE
from bench.proc import activity, children, pin, two_cores
from bench.proxy import free_ports
from bench.workbench import Bench, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

_OURS = f"{PILLION}: offload"
_BY_HAND = "nginx.conf by hand"
_ALONE = "Node.js alone"
_CONNECTIONS = 32
_SIZES = {"1 KB": 1 << 10, "20 KB": 20 << 10, "1 MB": 1 << 20}
_WHERE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "offload")
_TIMES_NODE = 10
_OF_BY_HAND = 0.95


@dataclass(slots=True)
class _Server:
    """Whoever answers at a port, with the processes that cost."""

    name: str
    port: int
    pids: Sequence[int]
    rate: dict[str, list[float]] = field(default_factory=lambda: {size: [] for size in _SIZES})
    cpu_us: dict[str, list[float]] = field(default_factory=lambda: {size: [] for size in _SIZES})
    failures: int = 0

    def cpu_s(self) -> float:
        return sum(activity(pid).cpu_ns for pid in self.pids) / 1e9


def run(bench: Bench) -> list[Row]:
    """Each in turn under the same load, on the same core."""
    served, asking = two_cores()
    if served == asking:
        raise Unavailable("it needs two cores: one for the server, one for the load")
    folder = _files(bench)
    # The app is asked as it would be anyway: by the instance that it belongs to.
    servers = [*_with_pillion(bench, folder, served, asking), _by_hand(bench, folder, served)]
    for turn in range(bench.runs(5)):
        for size in _SIZES:
            for server in _rotated(servers, turn):
                _measure(bench, server, size, asking)
    return _rows(servers)


def _files(bench: Bench) -> str:
    folder = bench.fresh("o")
    os.mkdir(f"{folder}/public")
    for name, size in _SIZES.items():
        with open(f"{folder}/public/{_path(name)}", "wb") as file:
            file.write(os.urandom(size))
    # Other users' workers may read them, too.
    for path in (bench.folder, folder, f"{folder}/public"):
        os.chmod(path, 0o755)
    return folder


def _path(size: str) -> str:
    return f"{size.replace(' ', '').lower()}.bin"


def _with_pillion(bench: Bench, folder: str, served: int, asking: int) -> list[_Server]:
    port, front = free_ports(2)
    instance = Instance(
        bench,
        [bench.peers.paths[NODE], f"{_WHERE}/server.js"],
        settings=[
            f"app.port={port}",
            f'app.env={{PORT="{port}", ROOT="{folder}/public"}}',
            'app.ready={http="/healthz"}',
            f'offload.root="{folder}/public"',
            f'offload.listen="127.0.0.1:{front}"',
            "offload.access_log=true",
            "logs.mirror=false",
        ],
        cpus={asking},
    )
    instance.wait_ready()
    _wait_for_file(front, _OURS)
    app, master = instance.pid("app"), instance.pid("offload")
    nginx = (master, *children(master))
    for pid in (app, *nginx):
        pin(pid, served)
    return [_Server(_OURS, front, nginx), _Server(_ALONE, port, (app,))]


def _by_hand(bench: Bench, folder: str, served: int) -> _Server:
    port, app = free_ports(2)
    with open(f"{_WHERE}/nginx.conf", encoding="utf-8") as file:
        text = file.read()
    if os.geteuid() == 0:
        text = f"user root;\n{text}"
    path = f"{folder}/nginx.conf"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace(":3000", f":{app}"))
    command = [bench.peers.paths[NGINX], "-p", folder, "-c", path, "-e", f"{folder}/error.log"]
    master = bench.spawn([*command, "-g", "daemon off;"], cpus={served}).pid
    wait_for(lambda: len(children(master)) == os.cpu_count(), "nginx has a worker for each core")
    _wait_for_file(port, _BY_HAND)
    return _Server(_BY_HAND, port, (master, *children(master)))


def _wait_for_file(port: int, name: str) -> None:
    wait_for(lambda: len(who_answers(port, f"/{_path('1 KB')}")) > 0, f"{name} serves a file")


def _rotated(servers: Sequence[_Server], turn: int) -> list[_Server]:
    first = turn % len(servers)
    return [*servers[first:], *servers[:first]]


def _measure(bench: Bench, server: _Server, size: str, asking: int) -> None:
    request = request_bytes(f"/{_path(size)}", f"127.0.0.1:{server.port}")
    where = loading.target(bench, f"tcp:{server.port}", request)
    before_s = server.cpu_s()
    got = loading.Loading(
        bench, where, _CONNECTIONS, seconds=bench.seconds(2, 0.3), cpus={asking}
    ).result()
    if not got.requests:
        raise Unavailable(f"{server.name} answered nothing; {got.last}")
    server.rate[size].append(got.in_time / got.seconds)
    server.cpu_us[size].append((server.cpu_s() - before_s) / got.requests * 1e6)
    server.failures += got.failures


def _rows(servers: Sequence[_Server]) -> list[Row]:
    ours, alone, by_hand = servers
    rows = []
    for size in _SIZES:
        for server in servers:
            note = f"{server.failures} failed" if server.failures else ""
            rows.append(
                Row(f"throughput: {size}", server.name, "requests/s", server.rate[size], note=note)
            )
        rows += [
            Row(f"CPU: {size}", server.name, "µs a request", server.cpu_us[size])
            for server in servers
        ]
        for other, bound in ((alone, _TIMES_NODE), (by_hand, _OF_BY_HAND)):
            times = [a / b for a, b in zip(ours.rate[size], other.rate[size], strict=True)]
            measure = f"throughput, in that of {other.name}: {size}"
            rows.append(Row(measure, _OURS, "times", times, Target(bound, at_most=False)))
            # What the load itself can take bounds the rates of whoever is faster: this has no such bound.
            times = [a / b for a, b in zip(other.cpu_us[size], ours.cpu_us[size], strict=True)]
            measure = f"requests per CPU second, in those of {other.name}: {size}"
            rows.append(Row(measure, _OURS, "times", times))
    return rows


FIGURE = Figure(
    name="offload",
    says=f"Files of 1 KB, 20 KB and 1 MB on {_CONNECTIONS} kept connections, each server on one core and the load on another.",
    target="at least 10 times Node alone, within 5 % of a hand-written nginx.conf (bench/offload/nginx.conf)",
    run=run,
    peers=(NGINX, NODE),
    caveats=(
        "Each nginx writes a line about each request: ours to the sidecar's stream, the other to a file.",
        "The load reads every byte: with 1 MB it is what is measured as much as the server.",
        "The app is one Node.js process (bench/offload/server.js), which looks each file up and reads it, and keeps none.",
    ),
)
