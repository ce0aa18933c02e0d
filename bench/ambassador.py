"""Pillion's ambassador for a figure: an upstream's port and a TLS listener in front of the app, under the policies of `bench.proxy`.

What it writes of requests goes through the scribe to the spool, and the agent hears of its counters: both are on its core, and
their CPU counts as its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bench import api
from bench.figure import PILLION
from bench.instance import Instance
from bench.proc import pin
from bench.proxy import CONNECT_S, CONNECTIONS, TOTAL_S, TRY_S, Proxy, Upstream, free_ports

if TYPE_CHECKING:
    from bench.workbench import Bench

NAME = f"{PILLION}: ambassador"
_COUNTED = ("ambassador", "scribe", "agent")
_LAG = re.compile(r'^\S*loop_lag_worst_seconds\{[^}]*"ambassador"[^}]*\} (\S+)$', re.MULTILINE)


class Ambassador:
    """A running instance with its ambassador as a `Proxy`."""

    def __init__(self, bench: Bench, upstream: Upstream, served: int, others: int) -> None:
        plain, tls = free_ports(2)
        self.instance = Instance(
            bench,
            [bench.programs.first_act],
            settings=_settings(upstream, plain, tls),
            cpus={others},
        )
        self.instance.wait_ready()
        pids = {
            name: self.instance.pid(name) for name in self.instance.components() if name in _COUNTED
        }
        for pid in pids.values():
            pin(pid, served)
        self.pid = pids["ambassador"]
        self.proxy = Proxy(NAME, plain, tls, tuple(pids.values()), (self.pid,)).wait_for_answers()

    def worst_lag_ms(self) -> float | None:
        """How late a callback of the ambassador has been at worst, if it has been told yet."""
        found = _LAG.findall(api.ask_text(self.instance.socket, "/metrics"))
        return max(map(float, found)) * 1e3 if found else None


def _settings(upstream: Upstream, plain: int, tls: int) -> list[str]:
    timeouts = f'{{connect="{CONNECT_S}s", try="{TRY_S}s", total="{TOTAL_S}s"}}'
    return [
        f'ambassador.upstreams.far.urls=["http://127.0.0.1:{upstream.port}"]',
        f'ambassador.upstreams.far.listen="127.0.0.1:{plain}"',
        f"ambassador.upstreams.far.timeout={timeouts}",
        'ambassador.upstreams.far.retry={attempts=1, on=["connect"]}',
        "ambassador.upstreams.far.pool={idle_connections=1024}",
        f"ambassador.http.connections={CONNECTIONS}",
        # Each shows how late the event loop is.
        'ambassador.heartbeat="200ms"',
        f"app.port={upstream.port}",
        f'inbound.listen="127.0.0.1:{tls}"',
        f'inbound.tls={{cert_file="{upstream.certificate}", key_file="{upstream.key}"}}',
        f"inbound.timeout={timeouts}",
        "inbound.pool={idle_connections=1024}",
    ]
