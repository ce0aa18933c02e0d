"""How fast a backlog leaves the spool for an OTLP receiver, with the shipper on one core."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from bench.figure import PILLION, Figure, Row, Target
from bench.instance import Instance
from bench.proc import cpu_s, two_cores
from bench.receiver import Receiver
from bench.sampling import interleave
from bench.spool import Held, held
from bench.workbench import Bench, wait_for
from bench.writing import LINE_BYTES, Writer

if TYPE_CHECKING:
    from collections.abc import Callable

_STREAM = "stdout"
_TARGET = Target(200_000, at_most=False)
# So fast nothing may be dropped: what is measured is the way out, not the way in.
_SPOOL = [
    'logs.spool.size="2G"',
    'logs.spool.full="block"',
    "logs.mirror=false",
]


@dataclass(frozen=True, slots=True)
class _Way:
    """One way of shipping: what is in the spool, and how it is encoded."""

    name: str
    kind: str
    settings: tuple[str, ...]
    target: Target | None = None


_WAYS = (
    _Way("protobuf, gzip", "text", (), _TARGET),
    _Way("protobuf, plain", "text", ('telemetry.compression="none"',), _TARGET),
    _Way(
        "json, plain",
        "text",
        ('telemetry.protocol="http/json"', 'telemetry.compression="none"'),
    ),
    _Way("protobuf, gzip, of lines in JSON", "json", ()),
)


@dataclass(frozen=True, slots=True)
class _Backlog:
    """A run's output on disk, under `state`."""

    state: str
    run: str
    held: Held


def run(bench: Bench) -> list[Row]:
    """Fill a spool of each kind once, then ship a copy of it each way in turn."""
    lines = 200_000 if bench.quick else 500_000
    backlogs = {kind: _fill(bench, kind, lines) for kind in ("text", "json")}
    shipped = {way.name: _Shipped() for way in _WAYS}
    subjects: dict[str, Callable[[], float]] = {
        way.name: partial(_ship, bench, way, backlogs[way.kind], shipped[way.name]) for way in _WAYS
    }
    samples = interleave(bench.runs(3), subjects)
    rows = [
        Row("lines shipped", _who(way.name), "lines/s", samples[way.name], way.target)
        for way in _WAYS
    ]
    rows += [
        Row("CPU of the shipper", _who(way.name), "s a million lines", shipped[way.name].cpu_s)
        for way in _WAYS
    ]
    rows += [
        Row(
            "lines that did not arrive",
            _who(way.name),
            "lines",
            shipped[way.name].missing,
            Target(0),
        )
        for way in _WAYS
        if shipped[way.name].missing
    ]
    return rows


def _who(way: str) -> str:
    return f"{PILLION}: {way}"


def _fill(bench: Bench, kind: str, lines: int) -> _Backlog:
    bench.say(f"filling a spool with {lines:,} lines ({kind})")
    writer = Writer(bench, rate=0, lines=lines, kind=kind)
    instance = Instance(bench, writer.command, settings=_SPOOL)
    instance.wait_ready()
    run_id = instance.run
    writer.wait_started()
    writer.begin()
    writer.report()
    instance.stop()
    found = held(f"{instance.spool}/{run_id}/{_STREAM}")
    assert found.lines == lines, f"{lines - found.lines} lines are missing in the spool"
    return _Backlog(instance.state, run_id, found)


@dataclass(slots=True)
class _Shipped:
    """What one way has shown beside its speed: CPU a million lines, and lines that were looked for in vain."""

    cpu_s: list[float] = field(default_factory=list)
    missing: list[float] = field(default_factory=list)


def _ship(bench: Bench, way: _Way, backlog: _Backlog, shipped: _Shipped) -> float:
    """Ship the whole backlog; return lines a second between the first request and the last."""
    bench.say(way.name)
    shipping, receiving = two_cores()
    # Once each way is enough to see that everything arrives; lines in JSON have their number elsewhere.
    keep = way.kind == "text" and not shipped.missing
    receiver = Receiver(bench, keep=keep, cpus={receiving})
    state = f"{bench.fresh('b')}/s"
    # Hard links: the shipper reads what the writer's run left behind, every time anew.
    shutil.copytree(backlog.state, state, copy_function=os.link)
    instance = Instance(
        bench,
        [bench.programs.first_act],
        settings=[*_SPOOL, f'telemetry.otlp="{receiver.url}"', *way.settings],
        state=state,
        cpus={shipping},
    )
    try:
        instance.wait_ready()
        positions = f"{state}/{instance.name}/positions/otlp.json"
        wait_for(
            partial(_is_shipped, positions, backlog),
            f"the backlog is shipped ({way.name})",
            within_s=120,
        )
        spent = cpu_s(instance.pid("shipper"))
        counts = receiver.counts()
    finally:
        instance.stop()
        receiver.process.kill()
    shipped.cpu_s.append(spent / backlog.held.lines * 1e6)
    if keep:
        shipped.missing.append(backlog.held.lines - len(set(receiver.numbers())))
    return backlog.held.lines / ((counts["last_ns"] - counts["first_ns"]) / 1e9)


def _is_shipped(positions: str, backlog: _Backlog) -> bool:
    time.sleep(0.05)
    try:
        with open(positions, encoding="utf-8") as file:
            told = json.load(file)["positions"]
    except FileNotFoundError:
        return False
    return bool(told.get(backlog.run, {}).get(_STREAM, 0) >= backlog.held.end)


FIGURE = Figure(
    name="shipping",
    says=f"Lines of {LINE_BYTES} bytes a second from a backlog in the spool to an OTLP receiver, with time and level recognised, the shipper on one core.",
    target="stdout to an OTLP receiver: at least 200 k lines/s on one core",
    run=run,
    caveats=(
        "The receiver answers 200 and counts bytes, on another core. The time is that from the first request to the last.",
        "The shipper's CPU is that of its whole life, start included.",
        "That nothing is lost over repeated SIGKILL of the shipper is shown by a test, not here.",
        "No peer ships to OTLP: supervisord, circus and tini leave the output where it is.",
    ),
)
