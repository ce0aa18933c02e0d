"""What a call through the ambassador costs beside Envoy, HAProxy and NGINX: small answers, on few and on many connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figure import Figure, Row, Target
from bench.proxied import PEERS, Case, Measured, start

if TYPE_CHECKING:
    from bench.workbench import Bench

_ONE, _SOME, _MANY = (Case(50, connections) for connections in (1, 32, 256))
CAVEATS = (
    "Eight request headers, kept connections on both sides, one core for the proxy and one for load and upstream; every proxy has the same policies and writes one JSON record of each request.",
    "The CPU of the ambassador includes the scribe's, which writes its records, and the agent's.",
    "Added is beside the same load without a proxy, round by round. Where the load's core is full, throughput is that of load and upstream; CPU a request is the proxy's in any case.",
)


def run(bench: Bench) -> list[Row]:
    """Every proxy in turn, under each load."""
    measured = Measured(bench, start(bench), (_ONE, _SOME, _MANY), rounds=5)
    return [
        measured.per_cpu_s(_SOME, "Envoy", Target(2.5, at_most=False)),
        measured.per_cpu_s(_SOME, "NGINX", Target(0.7, at_most=False)),
        measured.per_cpu_s(_SOME, "HAProxy"),
        measured.added_p50(_ONE, "Envoy", Target(0.5)),
        measured.added_p50(_ONE, "NGINX"),
        *measured.rows(),
    ]


FIGURE = Figure(
    name="ambassador",
    says="Small answers through each proxy, plain, on 1, 32 and 256 connections: throughput, CPU a request, added latency, memory.",
    target="2.5 times Envoy's and 0.7 times NGINX's requests per CPU second; at most half of the p50 that Envoy adds",
    run=run,
    peers=PEERS,
    caveats=CAVEATS,
)
