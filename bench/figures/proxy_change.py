"""How soon a change of the source is served by a managed proxy, beside a loop that asks, renders and reloads."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench import api
from bench.figure import PILLION, Figure, Row, Target
from bench.instance import Instance
from bench.members import Member, who_answers
from bench.peers import HAPROXY, NGINX
from bench.proxy import connects, free_ports
from bench.workbench import Bench, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WHERE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "edge")
_LOOP = os.path.join(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "programs", "render_and_reload.py"
)
_INTERVAL_S = 1.0
_BETWEEN_S = 0.3
_BOUND_S = 20.0
# Of the design, in milliseconds.
_BOUNDS = {HAPROXY: 5.0, NGINX: 100.0}
_NAMES = {HAPROXY: "HAProxy", NGINX: "NGINX"}


class _Source:
    """One member of a service, which is moved between two servers: whoever answers tells where it is."""

    def __init__(self, neighbour: Instance, servers: Mapping[str, int], service: str) -> None:
        self.path = f"/v1/services/{service}"
        self._socket = neighbour.socket
        self._servers = servers
        self._at = "there"
        self.writes_ms: list[float] = []
        self.move()

    @property
    def at(self) -> bytes:
        """Where it is now."""
        return self._at.encode()

    def move(self) -> tuple[float, float]:
        """Move it. Returns when the write began and when it was answered (monotonic seconds)."""
        self._at = "here" if self._at == "there" else "there"
        body = {"address": "127.0.0.1", "port": self._servers[self._at]}
        began = time.monotonic()
        api.ask(self._socket, f"{self.path}/instances/one", method="PUT", body=body)
        written = time.monotonic()
        self.writes_ms.append((written - began) * 1e3)
        return began, written


@dataclass(slots=True)
class _Front:
    """A proxy that follows a service of its own, so that nobody else has work with its changes."""

    name: str
    port: int
    source: _Source
    begun_ms: list[float] = field(default_factory=list)
    written_ms: list[float] = field(default_factory=list)

    def wait_until_served(self) -> float:
        """When the first request was answered by where the member is now (monotonic seconds)."""
        deadline = time.monotonic() + _BOUND_S
        while who_answers(self.port) != self.source.at:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} still serves what was {_BOUND_S:g} s ago")
        return time.monotonic()

    def measure(self) -> None:
        """Move the member, and note how long it took."""
        began, written = self.source.move()
        served = self.wait_until_served()
        self.begun_ms.append((served - began) * 1e3)
        self.written_ms.append(max(0.0, served - written) * 1e3)


def run(bench: Bench) -> list[Row]:
    """Move the member again and again, and note when each proxy sends its clients after it."""
    neighbour = Instance(bench, [bench.programs.first_act])
    neighbour.wait_ready()
    servers = {name: Member(bench, name).port for name in ("here", "there")}
    sources = {
        (kind, who): _Source(neighbour, servers, f"{kind}-{who}")
        for kind in _NAMES
        for who in ("managed", "looped")
    }
    managed = _managed(bench, neighbour, {kind: sources[kind, "managed"] for kind in _NAMES})
    fronts = {
        kind: (managed[kind], _looped(bench, neighbour, kind, sources[kind, "looped"]))
        for kind in _NAMES
    }
    everybody = [front for pair in fronts.values() for front in pair]
    for front in everybody:
        front.wait_until_served()
    for turn in range(bench.runs(50, 3)):
        first = turn % len(everybody)
        for front in everybody[first:] + everybody[:first]:
            # Also for those before: their old workers are to have ended.
            time.sleep(_BETWEEN_S)
            front.measure()
    return _rows(fronts)


def _managed(
    bench: Bench, neighbour: Instance, sources: Mapping[str, _Source]
) -> dict[str, _Front]:
    """A proxy of each kind under one instance."""
    ports = dict(zip(_NAMES, free_ports(len(_NAMES)), strict=True))
    proxies = [
        f'{{name="{kind}", kind="{kind}", template="{_WHERE}/{_file(kind)}.j2", values={{port={port}, service="{kind}-managed"}}, '
        f'binary="{bench.peers.paths[kind]}", wait={{min="0s", max="0s"}}}}'
        for kind, port in ports.items()
    ]
    instance = Instance(
        bench,
        [bench.programs.first_act],
        settings=[f"proxies=[{', '.join(proxies)}]"],
        state=neighbour.state,
        beside=neighbour,
    )
    instance.wait_ready()
    return {
        kind: _Front(f"{PILLION}: {_NAMES[kind]}", port, sources[kind])
        for kind, port in ports.items()
    }


def _looped(bench: Bench, neighbour: Instance, kind: str, source: _Source) -> _Front:
    """A proxy whose file a plain loop writes; it begins with a member that is nowhere."""
    folder = bench.fresh("l")
    (port,) = free_ports(1)
    file = f"{folder}/{_file(kind)}"
    with open(f"{_WHERE}/{_file(kind)}.skeleton", encoding="utf-8") as read:
        skeleton = read.read().replace("@PORT@", str(port)).replace("@FOLDER@", folder)
    if kind == NGINX and os.geteuid() == 0:
        skeleton = f"user root;\n{skeleton}"
    _write(f"{folder}/skeleton", skeleton)
    line = "server 127.0.0.1:9;" if kind == NGINX else "server one 127.0.0.1:9"
    _write(file, skeleton.replace("@MEMBERS@", line))
    program = bench.peers.paths[kind]
    begin, check = _commands(program, kind, folder, file)
    master = bench.spawn(begin).pid
    wait_for(lambda: connects(port), f"{_NAMES[kind]} listens on {port}")
    signal = "HUP" if kind == NGINX else "USR2"
    bench.spawn(
        [
            sys.executable,
            _LOOP,
            neighbour.socket,
            source.path,
            str(_INTERVAL_S),
            f"{folder}/skeleton",
            file,
            str(master),
            f"SIG{signal}",
            *check,
        ]
    )
    return _Front(f"render and reload every {_INTERVAL_S:g} s: {_NAMES[kind]}", port, source)


def _commands(program: str, kind: str, folder: str, file: str) -> tuple[list[str], list[str]]:
    if kind == HAPROXY:
        return [program, "-W", "-f", file], [program, "-c", "-q", "-f", f"{file}.new"]
    words = [program, "-p", folder, "-e", f"{folder}/error.log"]
    return [*words, "-c", file, "-g", "daemon off;"], [*words, "-t", "-q", "-c", f"{file}.new"]


def _file(kind: str) -> str:
    return "haproxy.cfg" if kind == HAPROXY else "nginx.conf"


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _rows(fronts: Mapping[str, Sequence[_Front]]) -> list[Row]:
    rows = []
    for kind, (ours, theirs) in fronts.items():
        bound = Target(_BOUNDS[kind])
        measure = f"source changed to served: {_NAMES[kind]}"
        rows.append(Row(measure, ours.name, "ms", ours.written_ms, bound))
        rows.append(Row(measure, theirs.name, "ms", theirs.written_ms))
        measure = f"the same from before the write: {_NAMES[kind]}"
        rows.append(Row(measure, ours.name, "ms", ours.begun_ms))
        rows.append(Row(measure, theirs.name, "ms", theirs.begun_ms))
    writes_ms = [
        one for pair in fronts.values() for front in pair for one in front.source.writes_ms
    ]
    rows.append(Row("the write itself, until it is answered", PILLION, "ms", writes_ms))
    return rows


FIGURE = Figure(
    name="proxy-change",
    says="A member of a service moves to another port: from its registration in one sidecar to the first request that a proxy of another's sends there.",
    target="HAProxy run-time change at most 5 ms, NGINX reload proved within 100 ms, beyond the chosen wait",
    run=run,
    peers=(HAPROXY, NGINX),
    caveats=(
        "The chosen wait is 0, so that nothing is gathered.",
        "A change is a change once its write has been answered; what is served before that counts as 0.",
        f"The loop stands in for confd: it asks the same API every {_INTERVAL_S:g} s, renders, has the proxy check the file, and signals it. It proves nothing.",
        "What is served is asked on a new connection each time, as often as that goes.",
    ),
)
