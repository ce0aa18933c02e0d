"""TLS in front: the ambassador's inbound listener beside Envoy, HAProxy and NGINX with the same certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figure import Figure, Row, Target
from bench.figures.ambassador import CAVEATS
from bench.proxied import PEERS, Case, Measured, start

if TYPE_CHECKING:
    from bench.workbench import Bench

_CASES = tuple(
    Case(size, connections) for size in (50, 10 << 10, 1 << 20) for connections in (1, 32, 256)
)


def run(bench: Bench) -> list[Row]:
    """Every proxy in turn, under each load."""
    measured = Measured(bench, start(bench), _CASES, tls=True)
    some, one = Case(50, 32), Case(50, 1)
    return [
        measured.per_cpu_s(some, "Envoy", Target(1.5, at_most=False)),
        measured.per_cpu_s(some, "NGINX"),
        measured.added_p50(one, "Envoy"),
        *measured.rows(),
    ]


FIGURE = Figure(
    name="ambassador-tls",
    says="Answers of 50 B, 10 KB and 1 MB through each proxy, TLS in front and plain behind, on 1, 32 and 256 connections.",
    target="1.5 times Envoy's requests per CPU second",
    run=run,
    peers=PEERS,
    caveats=(
        *CAVEATS,
        "Kept connections: handshakes are not in these figures. Added is beside the plain upstream, so it includes the client's own TLS.",
    ),
)
