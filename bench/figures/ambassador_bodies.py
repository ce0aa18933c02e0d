"""Longer answers through the ambassador beside Envoy, HAProxy and NGINX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figure import Figure, Row
from bench.figures.ambassador import CAVEATS
from bench.proxied import PEERS, Case, Measured, start

if TYPE_CHECKING:
    from bench.workbench import Bench

_CASES = tuple(
    Case(size, connections) for size in (10 << 10, 1 << 20) for connections in (1, 32, 256)
)


def run(bench: Bench) -> list[Row]:
    """Every proxy in turn, under each load."""
    measured = Measured(bench, start(bench), _CASES)
    beside = [
        measured.per_cpu_s(case, other)
        for case in _CASES
        if case.connections == 32
        for other in ("Envoy", "NGINX")
    ]
    return [*beside, *measured.rows()]


FIGURE = Figure(
    name="ambassador-bodies",
    says="Answers of 10 KB and 1 MB through each proxy, plain, on 1, 32 and 256 connections.",
    target="no bound of its own",
    run=run,
    peers=PEERS,
    caveats=CAVEATS,
)
